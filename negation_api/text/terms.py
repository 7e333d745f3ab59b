"""Where the terms of a list are mentioned in a text.

A term is mentioned where its words stand as whole words, in any case, parted by any run
of blanks, hyphens and line breaks, the last of them perhaps in the plural (see
:func:`plurals`). An empty line ends a mention, and so does a line that begins with a
hyphen, a list's next item. Any other sign is a word of its own, so that a comma in
between parts two terms. Of mentions that overlap the longest counts, of equally long
ones the first.

Each word that terms hold is given one character. So a text becomes a string of a
character a word, an automaton of Aho and Corasick finds terms in it in linear time, and
the places of its words are places in the text, however case folding changes lengths.
"""

import hashlib
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from negation_api.text.spans import Span

# What nobody sees belongs to the word it stands in, as accents of their own do.
_UNSEEN = "\u00ad\u200b-\u200d\u2060\ufeff"
_HYPHENS = r"\-\u2010-\u2013"
_LINE = r"(?>\r\n|[\n\r\v\f\x85\u2028\u2029])"
_INDENT = r"[^\S\n\r\v\f\x85\u2028\u2029]*"
_WORD = re.compile(
    rf"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*|[{_UNSEEN}]+[^\W_]+)*"
    rf"|{_LINE}{_INDENT}(?:{_LINE}|[{_HYPHENS}])"  # an end, which is in no term
    rf"|[^\s{_HYPHENS}{_UNSEEN}]"
)
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_APOSTROPHES = dict.fromkeys("\u2019\u02bc\uff07", "'")
_SURROGATES = range(0xD800, 0xE000)
MAX_WORDS = sys.maxunicode - len(_SURROGATES)  # each has a character; "\0" is no word's
# Plurals of "HA" (headache), "DOE", "HI" and others that are words of every note.
_FUNCTION_WORDS = frozenset("as does has his is its this us was".split())
_OTHER = "\0"  # a word that is in no term
MAX_CANDIDATES = 2_000_000  # mentions in a text, overlapping ones too: some seconds


class Term(NamedTuple):
    """A term of a list.

    :ivar written: what is sought; :ivar name: what it is called in answers.
    """

    written: str
    name: str
    code: str | int | None = None


class Mention(NamedTuple):
    """A term and where it stands."""

    span: Span
    term: Term


class TooManyMentions(ValueError):
    """A text of so many words that a list of terms so alike may be in it too often."""


def fold(word: str) -> str:
    """Give what all spellings of *word* have in common.

    >>> fold("FE\N{SOFT HYPHEN}VER"), fold("Straße")
    ('fever', 'strasse')
    """
    if word.isascii():
        return word.lower()
    seen = _HIDDEN.sub("", _APOSTROPHES.get(word, word))
    folded = unicodedata.normalize("NFKC", seen).casefold()
    return unicodedata.normalize("NFKC", folded)


def words_of(text: str) -> list[str]:
    """Give the folded words of *text*.

    >>> words_of("Chest-pain; Crohn’s")
    ['chest', 'pain', ';', 'crohn', "'", 's']
    """
    words = _WORD.findall(text)
    return [fold(word) for word in words if not word[0].isspace()]


def plurals(word: str) -> list[str]:
    """Give the regular plurals of an English word, "-sis" among them.

    None is given that is a word of every note: "has" is no plural of "HA".

    >>> plurals("rash"), plurals("allergy"), plurals("stenosis"), plurals("ha")
    (['rashes'], ['allergies'], ['stenoses'], [])
    """
    if not word[-1:].isalnum():
        return []
    if word.endswith("sis"):
        return [f"{word[:-2]}es"]
    if word.endswith(("s", "x", "z", "sh")):
        return [f"{word}es"]
    if word.endswith("y") and word[-2:-1] not in ("", *"aeiou"):
        return [f"{word[:-1]}ies"]
    if word.endswith(("o", "ch")):  # "echoes", "stomachs"
        return [f"{word}s", f"{word}es"]
    return [f"{word}s"] if f"{word}s" not in _FUNCTION_WORDS else []


def faults(terms: Iterable[Term], max_chars: int) -> Iterator[tuple[int, str]]:
    """Give the index of each term that cannot be sought, and why.

    :param max_chars: longest entity.
    """
    seen, vocabulary, excess = {}, set(), None
    for index, term in enumerate(terms):
        given = len(term.written)
        if given > max_chars:
            yield index, f"At most {max_chars} characters in an entity; given {given}."
            continue
        if "\0" in f"{term.written}{term.code}":
            yield index, "Holds a NUL character, which no text has."
            continue
        words = tuple(words_of(term.written))
        if not any(word[0].isalnum() for word in words):
            yield index, "Must hold a letter or a digit."
            continue
        first, earlier = seen.setdefault(words, (index, term))
        if None not in (earlier.code, term.code) and earlier.code != term.code:
            yield index, f"Has another code than the same term at {first}."
        elif earlier.code is None:
            seen[words] = first, term
        vocabulary.update(words, plurals(words[-1]))
        if excess is None and len(vocabulary) > MAX_WORDS:
            excess = index
    if excess is not None:
        given = len(vocabulary)
        yield excess, f"At most {MAX_WORDS} different words and plurals; given {given}."


class Finder:
    """Finds *terms*, each of which can be sought (:func:`faults`).

    Made in time linear in the terms; then only read, so threads and forks share it.
    Of the same term twice the one with a code counts, of these the first.

    :ivar sought: the terms that mentions may be of.
    """

    def __init__(self, terms: Sequence[Term]):
        self.terms = tuple(terms)
        self._characters: dict[str, str] = {}
        coded_first = sorted(self.terms, key=lambda term: term.code is None)
        listed = [(words_of(term.written), term) for term in coded_first]
        forms = {}
        for words, term in listed:  # a term as written before another's plural
            forms.setdefault(self._spell(words), term)
        self.sought = tuple(forms.values())
        for words, term in listed:
            for plural in plurals(words[-1]):
                forms.setdefault(self._spell([*words[:-1], plural]), term)
        self._forms = list(forms.values())
        self._depth = _depth(forms)
        self._automaton = AhoCorasick(
            list(forms), matchkind=MatchKind.Standard, store_patterns=False
        )

    def _spell(self, words: list[str]) -> str:
        characters = self._characters
        for word in words:
            if word not in characters:
                characters[word] = _character(len(characters) + 1)
        return "".join(map(characters.__getitem__, words))

    @cached_property
    def digest(self) -> str:
        """Tell this list from any other."""
        digest = hashlib.blake2b(digest_size=16)
        for term in self.terms:
            digest.update(repr(tuple(term)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def find(self, text: str, max_chars: int = sys.maxsize) -> list[Mention]:
        """Give every mention in *text*, in order; none overlaps another.

        :param max_chars: longest one; blanks may make it longer than its term.
        :raises TooManyMentions: where finding them might take long.
        """
        places, spelt, characters = [], [], self._characters
        for found in _WORD.finditer(text):
            places.append(found.span())
            spelt.append(characters.get(fold(found[0]), _OTHER))
        most = len(places) * self._depth
        if self._depth > 1 and most > MAX_CANDIDATES:
            raise TooManyMentions(
                f"At most {MAX_CANDIDATES} places are looked at, words times terms that"
                f" end with one another; given {most}."
            )
        spelt = "".join(spelt)
        candidates = [
            each
            for each in self._automaton.find_matches_as_indexes(spelt, overlapping=True)
            if places[each[2] - 1][1] - places[each[1]][0] <= max_chars
        ]
        return [
            Mention(Span(places[first][0], places[last - 1][1]), self._forms[form])
            for form, first, last in _longest(candidates, places)
        ]


def _character(number: int) -> str:
    """Give the character of a word, by its number from 1 to ``MAX_WORDS``."""
    skipped = len(_SURROGATES) if number >= _SURROGATES.start else 0
    return chr(number + skipped)


def _depth(forms: Iterable[str]) -> int:
    """Count how many terms may end at one word: what one of them ends with, at most."""
    known = set(forms)
    depths = (sum(form[at:] in known for at in range(len(form))) for form in known)
    return max(depths, default=0)


def _longest(candidates: list[tuple], places: list[tuple]) -> list[tuple]:
    """Choose of those that overlap the longest, then the first; give them in order."""

    def rank(candidate: tuple) -> tuple[int, int]:
        _, first, last = candidate
        return places[first][0] - places[last - 1][1], first

    taken, chosen = bytearray(len(places)), []
    for form, first, last in sorted(candidates, key=rank):
        if taken.find(1, first, last) < 0:
            taken[first:last] = b"\1" * (last - first)
            chosen.append((form, first, last))
    return sorted(chosen, key=lambda c: c[1])


@lru_cache(maxsize=8)
def finder_of(terms: tuple[Term, ...]) -> Finder:
    """Give the finder of *terms*, made once for who sends the same with each note."""
    return Finder(terms)


@lru_cache(maxsize=1)
def common() -> Finder:
    """Give the finder of the common findings in ``common_terms.txt``."""
    return Finder(_common_terms())


@lru_cache(maxsize=1)
def _common_terms() -> list[Term]:
    lines = (files("negation_api.text") / "common_terms.txt").read_text("utf-8")
    terms = []
    for line in lines.splitlines():
        written, _, name = line.partition("\t")
        if written.strip() and not written.startswith("#"):
            terms.append(Term(written, name or written))
    return terms


# What stands before a finding, and what else a statement ends with, like a finding.
_ATTRIBUTE = frozenset(
    "mild moderate severe slight chronic acute right left bilateral lower upper current"
    " former recent new old worsening persistent intermittent constant occasional some"
    " still known stable dry productive prior past remote mildly moderately".split()
)
_ENDS = frozenset(
    "surgery surgeries allergies nkda meds medications etoh alcohol tobacco drugs use"
    " complaints issues distress trauma travel".split()
)
_APART = re.compile(r"[,/]| (?:n?or|and) ")
_ACRONYM = re.compile(r"[A-Z]{2,5}")  # "SOB", "PE"
_BESIDE_FINDING = _ATTRIBUTE | frozenset(
    "a an any the of for h/o hx history evidence sign signs symptom symptoms seen noted"
    " found reported significant".split()
)
_FORM_WORDS = 4  # of a finding at the edge of a line
_JOINED = re.compile(r"[^\n.;:]*(?:[ ]n?or\b|\n[ \t]*(?:and|n?or)\b)")


@lru_cache(maxsize=1)
def common_forms() -> frozenset[str]:
    """Give the common findings in folded words, and their plurals."""
    forms = set(_ENDS)
    for term in _common_terms():
        *first, last = words_of(term.written)
        forms |= {" ".join([*first, form]) for form in (last, *plurals(last))}
    return frozenset(forms)


def goes_on_enumerating(after: str) -> bool:
    """Tell whether an enumeration ends in *after*: "rash or gout", "rash|and gout"."""
    return bool(_JOINED.match(after))


def findings_meet(before: str, after: str) -> bool:
    """Tell whether one finding ends *before* and another one begins *after*.

    Nothing joins them then: they are said apart.

    >>> findings_meet("no knee pain", "mild cough"), findings_meet("no knee", "pain")
    (True, False)
    >>> findings_meet("no pain", "disorder")
    False
    """
    forms = common_forms()
    tails = _edges(_plain_words(before)[-_FORM_WORDS:], first=False)
    if forms.isdisjoint(tails):
        return False
    start = _plain_words(after.partition("\n")[0])
    skipped = next((n for n, word in enumerate(start) if word not in _ATTRIBUTE), 0)
    heads = _edges(start[skipped : skipped + _FORM_WORDS], first=True)
    if not forms.intersection(heads) - _ENDS:
        return False
    return forms.isdisjoint(f"{tail} {head}" for tail in tails for head in heads)


def are_findings(piece: str) -> bool:
    """Tell whether *piece* names findings, common or in capitals, and nothing else.

    >>> are_findings("knee pain, mild cough"), are_findings("signs of PE seen")
    (True, True)
    >>> are_findings("pain relief"), are_findings("medications except")
    (False, False)
    """
    for part in _APART.split(piece):
        words = [word.strip(".,;:()") for word in part.split()]
        words = [word for word in words if word.lower() not in _BESIDE_FINDING]
        name = " ".join(words)
        if not (name.lower() in common_forms() or _ACRONYM.fullmatch(name)):
            return False
    return True


def _plain_words(line: str) -> list[str]:
    """Give words in a fraction of the time of :func:`words_of`; lines are many."""
    return [word.strip(".,;:()") for word in line.lower().split()]


def _edges(words: list[str], first: bool) -> list[str]:
    """Give the runs of *words* that begin with the first, or end with the last."""
    counts = range(1, len(words) + 1)
    return [" ".join(words[:n] if first else words[-n:]) for n in counts]

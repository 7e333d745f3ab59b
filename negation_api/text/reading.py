"""Characters as a reader takes them: what editors, web pages and forms do to a text.

Only the model reads the outcome; the client's text and offsets stay as they are. It
knows no layout: see ``forms.py`` for markers, boxes and rows of answers.
"""

import html
import re
import unicodedata
from functools import lru_cache

from negation_api.text.artefacts import ENTITY, UNSEEN, shorten

_QUOTES = str.maketrans(
    "\u2018\u2019\u201a\u201b\u2032\u00b4`\u201c\u201d\u201e\u2033\u00ab\u00bb"
    "\u2010\u2011",
    "'''''''\"\"\"\"\"\"--",
)

# Signs that are words. A sign stands alone, or before the word that it is about.
_SIGNS = (
    (re.compile(r"(?<!\w)[\u00d8\u00f8\u2205\u2300]\s*(?=[A-Za-z(]|\Z)"), "no "),
    (
        re.compile(
            r"(?:\A|(?<=[,;:.(] ))0\s+(?=(?!days|week|month|year|hour)[a-z]{4}|\Z)"
        ),
        "no ",
    ),
    (re.compile("[\u2296\u229d\u2796]"), "(-)"),
    (re.compile("[\u2295\u2795]"), "(+)"),
    (re.compile(r"\((?:\+ ?/ ?-|\u00b1)\)|(?<!\w)(?:\+/-|\u00b1)(?! ?\d)"), "(?)"),
    (re.compile(r"(?<!\w)s[\u0304\u0305](?=\s)"), "without"),
    (re.compile(r"(?<!\w)c[\u0304\u0305](?=\s)"), "with"),
    (re.compile(r"(?<!\w)\(?-\)?ve\b"), "negative"),
    (re.compile(r"(?<!\w)\(?\+\)?ve\b"), "positive"),
    (re.compile(r"(?<=[a-z])0(?=[a-z])|(?<=\b[nN])0(?=\s)"), "o"),  # of optical readers
)
_SIGN = re.compile(  # of _SIGNS, any
    "[\u00d8\u00f8\u2205\u2300\u2295\u2296\u229d\u2795\u2796\u0304\u0305\u00b1]"
    "|ve\\b|0|/ ?-"
)
_BREAKS = "\r\v\f\x85\u2028\u2029"
_UNLEVEL = [*map(chr, (*range(9), *range(11, 32), 127)), "`"]  # of ASCII
_SPECIAL = re.compile(
    "(?<![0-9.])0 |[^\\x20-\\x7e\\t\\n]|&|<|[+-]\\)?ve|[+] ?/ ?-|[a-zA-Z]0"
)


def level(text: str) -> str:
    """Give *text* with breaks, blanks, quotes and full-width letters of one kind.

    Every code point keeps its place, so that what is found in it is found in *text*.

    >>> level("no fever,\u00a0\uff4eo \u201ccough\u201d")
    'no fever, no "cough"'
    """
    if text.isascii() and not any(map(text.__contains__, _UNLEVEL)):
        return text
    text = text.replace("\r\n", " \n")
    levels = {ord(char): _levelled(char).translate(_QUOTES) for char in {*text}}
    return text.translate(levels)


def lowered(text: str) -> str:
    """Give *text* in small letters, every code point in its place.

    >>> lowered("AĐİN")
    'ađin'
    """
    return text.replace("\u0130", "i").lower()


@lru_cache(maxsize=4096)
def _levelled(character: str) -> str:
    if character in _BREAKS:
        return "\n"
    if character < "\x7f":
        return " " if character < " " and character not in "\t\n" else character
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    if unicodedata.category(character) == "No":  # a number in a circle is a marker
        return character
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


def read(piece: str) -> str:
    """Give *piece* in plain characters.

    >>> read("Denies&nbsp;fe\\u00adver, \\uff4e\\uff4f co\\ufb01rmed \\u00d8 edema")
    'Denies fever, no cofirmed no edema'
    """
    if not _SPECIAL.search(piece):
        return piece
    if "&" in piece:
        piece = ENTITY.sub(lambda found: html.unescape(found.group()), piece)
    piece = UNSEEN.sub("", piece).translate(_QUOTES)
    if _SIGN.search(piece):
        for sign, word in _SIGNS:
            piece = sign.sub(word, piece)
    return "".join(map(_plain, piece))


def _slips(word: str) -> list[str]:
    """Give *word* with a letter left out, or two changed over, behind the first."""
    places = range(1, len(word) - 1)
    left_out = [word[:at] + word[at + 1 :] for at in places]
    return left_out + [
        word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in places
    ]


# Slips of the pen in a cue. Few are words; "Denise", with a capital, is a name.
_CUES = "denies denied denying without negative evidence".split()
_MEANT = {slip: word for word in _CUES for slip in _slips(word)}
_MISSPELT = re.compile(rf"\b(?:{'|'.join(_MEANT)})\b")
# Cues with an optical reader's 1 for a letter: "Ru1e out", "ev1dence".
_SEEN = re.compile(r"\b[A-Za-z]+1[A-Za-z]+\b")
_SHOWN = {
    word[:at] + "1" + word[at + 1 :]: word
    for word in [*_CUES, *"positive possible rule ruled history resolved".split()]
    for at, letter in enumerate(word)
    if letter in "il"
}
# "Non-reactive" is a result of these tests; pupils that do not react are no answer.
_SEROLOGY = re.compile(
    r"\b(?:hiv|htlv|rpr|vdrl|tpha|fta-?abs|syphilis|treponem\w+|hep(?:atitis)? ?[a-e]"
    r"|hbs|hbsag|h[abc]v|anti-?(?:hiv|h[abc]v|hb[sc]))\b",
    re.IGNORECASE,
)
_REACTS = re.compile(
    r"pupil|mydria|miosis|anisoc|light|\b(?:nst|ctg|mm)\b|fetal|foetal|stress",
    re.IGNORECASE,
)
_NON_REACTIVE = re.compile(r"\bnon[ -]?reactive\b", re.IGNORECASE)
# Within a sentence a stop after a word ends an abbreviation.
_STOP = re.compile(r"\.(?<=[A-Za-z]{2}\.)(?=\s)")


def spell(piece: str) -> str:
    """Give *piece*, what stands beside an entity in its sentence, as it is meant.

    >>> spell("Pt. deneis hx. of "), spell("seen. ")
    ('Pt denies hx of ', 'seen ')
    """
    piece = _STOP.sub("", piece)
    if "1" in piece:
        piece = _SEEN.sub(lambda found: _as_shown(found.group()), piece)
    if _MEANT.keys().isdisjoint(piece.split()):
        return piece
    return _MISSPELT.sub(lambda found: _MEANT[found.group()], piece)


def spell_result(test: str, result: str) -> str:
    """Give *result*, what stands behind the name of a *test*, as it is meant.

    >>> spell_result("HIV", " non-reactive"), spell_result("pupils", " non-reactive")
    (' negative', ' non-reactive')
    """
    if not _NON_REACTIVE.search(result) or _REACTS.search(test + result):
        return result
    if not _SEROLOGY.search(test):
        return result
    return _NON_REACTIVE.sub("negative", result)


def _as_shown(word: str) -> str:
    return _SHOWN.get(word.lower(), word)


def is_blank(piece: str) -> bool:
    """Tell whether a reader sees nothing in *piece*."""
    return not read(level(shorten(piece)[0])).strip()


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """Take apart what is made of others: full width, ligatures, fractions."""
    if character < "\x7f":
        return character
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    return unicodedata.normalize("NFKC", character)

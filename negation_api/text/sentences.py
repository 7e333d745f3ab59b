"""What the model is fed: the context of an entity, with the entity marked.

Pure text, free of torch and HTTP. The format is that of van Aken et al. 2021
(https://aclanthology.org/2021.nlpmc-1.5/): the sentence around the entity, line
breaks made spaces, the entity between two literal ``[entity]``::

    ... denies any [entity] shortness of breath [entity].

The paper ends a sentence at every ``.``, ``!``, ``?`` and blank line. Notes are
full of stops that end nothing ("Dr. Smith", "p.o. b.i.d.", "? TIA") and of line
breaks that end something (headings, list items), so :class:`SegmentedText` looks at
both; ``docs/decisions/20261123-sentences.md`` has the figures.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from negation_api.text.artefacts import shorten
from negation_api.text.boxes import BOX_SIGNS
from negation_api.text.forms import Forms
from negation_api.text.lead_ins import LeadIns
from negation_api.text.line_breaks import WORD, LineBreaks, last_word
from negation_api.text.lists import Lines
from negation_api.text.markers import MARKER, plain
from negation_api.text.open_cues import MAX_CHARS, is_shortened
from negation_api.text.pseudo_cues import without_pseudo_cue
from negation_api.text.reading import level, read, spell, spell_result
from negation_api.text.rows import is_of_item
from negation_api.text.sections import Section, Sections, kind_of
from negation_api.text.spans import Span

# Characters of one sentence that may stand on either side of the entity. 512
# tokens of clinical text are about 2,300 characters; the bound keeps a note
# without any sentence end linear in the number of its entities.
MAX_SIDE_CHARS = 2_000

# Stops, colons, cells, line breaks and boxes of one request's notes: each a place where
# a sentence may end, and some 10 microseconds. A question, a line and a box are more
# work than others. 300 full pages have some 93,000.
MAX_ENDS = 100_000
ENDS_OF = {"question": 2, "line": 2, "box": 3}

_TITLES = frozenset("dr mr mrs ms prof st sr jr vs e.g i.e cf approx viz".split())
# A stop after one of these, before an acronym, ends nothing: "prev. MI".
_ATTRIBUTES = frozenset(
    "hx dx sx imp sig signif prev poss prob ques mod sev mult equiv hist bilat asympt"
    " symp lt rt ant post lat sup inf freq occ incr decr susp evid assoc cont abd abn"
    " abnl abnorm add'l cardiopulm cardiovasc cerv chron clin def diff foc intracr"
    " intracran isch lumb metast neuro obstr palp periph pleur pulm recur resid resp"
    " subac thor unilat vasc".split()
)
# So are these where a sentence begins with them: "Neg. CVA tenderness".
_LED_BY = frozenset(["neg", "pos"])
_ABBREVIATIONS = (_ATTRIBUTES | _LED_BY).union(
    "pt pts tx rx fx wt ht temp ext gen lab labs mg mcg ml cm mm kg lb lbs hr hrs min"
    " sec wk wks mo mos yr yrs no nos fig al dept hosp inc ca bid tid qid qd qhs qod"
    " prn po iv im sc sq subq ad lib med bil incl est max avg ref tab tabs cap caps"
    " norm int nml diag eval surg adm disch card rad path musc derm psych ortho gyn obs"
    " exam circ sens subj obj simult spont vent w hem rheum excl ac acc addl add assd"
    " calc compl conj demon dist elev enl ev exacerb fam fem flex glob gest indic infil"
    " inflam insuff interm intermit lac lig loc malig nl op pneum postop preop pred"
    " prog prom rec resol respir spec stab subst symm tend trach ulc unchg vag vis vol"
    " approp apprec localiz overt bx fhx pmh phx psx cx dev disc hemorr perf refl"
    " therap tox transf visib ident identif addit appr asc axill clav coag compr cong"
    " consol constit dermat displ endocr epig epigast epigastr eryth erythem esoph exc"
    " extr extrem funct gastr hemodyn hepat hepatosplen hydroceph immunocomp inguin"
    " interst intra intraabd intrac intraperit lymph lymphad maxill mediast meta metas"
    " musculosk neurol neurovasc nontend occas occip ophth parasp parench pathol"
    " periorb perit periton postsurg prelim prox psychiatr radiog recurr retroperit"
    " splen subcut substant superf supraclav suprap sust syst throm thromb traum"
    " undispl unrem unremark uret ureth urin ventric vert visc".split()
)
# A sentence hardly begins with one of these: the stop before it ends an abbreviation.
_GOES_ON = frozenset("of for to by and or than from on in at with".split())
_NAMED_BY_LETTER = frozenset(
    "hepatitis vitamin type group grade class stage influenza factor strep".split()
)
# Every place where a sentence may end. De-identification brackets come first so
# that what they hide is passed over whole ("**NAME[AAA M. BBB]"). A set of characters
# leads, which is what sre looks for; what it may be is told looking back at it.
# Repetitions are possessive ("}+") where nothing can be given back, so that no text
# costs more than its length.
_CANDIDATE = re.compile(
    r"""[*\[.!?\nA-Z] (?:
      (?P<hidden> (?<=\*) \*[A-Z-]{1,20}+\[[^\]\n]{0,80}+\]
                | (?<=\[) \*\*[^\]\n]{2,82}+(?<=\*\*)\] )
    | (?P<stop> (?<=[.!?]) (?<![.!?][.!?]) [.!?]* ["'”’)\]]{0,3} ) (?=\s)
    | (?P<newline> (?<=\n) ) \s*
    | (?P<heading> (?: (?<=\A[A-Z]) | (?<=[\s.;][A-Z]) ) [A-Z/&,()\ -]{2,40}+ : )
    )""",
    re.VERBOSE,
)
_END = re.compile(
    r"(?:[.!]|(?P<question>\?))(?=[\"'”’)\]]{0,3}\s)|[:|\t]|  +"
    r"|(?P<line>\r?\n|[\r\x0b\x0c\x85\u2028\u2029]|&#(?:1[03]|[xX]0?[aAdD]);"
    r"|</?[A-Za-z])"
    rf"|(?P<box>[\[(_].{{0,3}}[\])_]|[{BOX_SIGNS}])"
)
_ENUMERATOR = re.compile(r"[(\[]?(?:\d{1,2}|[A-Za-z])")
_SPACES = re.compile(r"\s+")
# As many recognisers find it: "no headache". "No longer" and "not only" are others.
_CUE = re.compile(
    r"(?:no|not|without|w/o|den(?:y|ie[sd]|ying)|nil|(?:neg(?:ative)?\.?|absence|free)"
    r"(?=\s+(?:for|of)\b)\s+(?:for|of))\s+(?=[^\W\d_])(?!(?:longer|only|just)\b)",
    re.IGNORECASE,
)


def count_ends(text: str) -> int:
    """Count the places where a sentence of *text* may end, and at least as many.

    Questions, lines and boxes count as ``ENDS_OF`` says.

    >>> count_ends("Denies pain. Takes:\\n1.5 mg"), count_ends("[x] fever")
    (4, 3)
    """
    return sum(ENDS_OF.get(found.lastgroup, 1) for found in _END.finditer(text))


@dataclass(frozen=True)
class Regions:
    """The parts of a text that are read of one entity.

    :ivar lead: what leads in its list; :ivar heading: of its section; or None.
    """

    sentence: Span
    lead: Span | None
    heading: Span | None


class SegmentedText:
    """A text cut into sentences once, giving the context of any entity in it.

    Time and memory are linear in the length of the text; each entity then costs
    a search among the sentence starts and at most ``2 * MAX_SIDE_CHARS``.
    """

    def __init__(self, text: str):
        shortened, self._places = shorten(text)
        self._text = level(shortened)
        # Every code point in its place.
        self.text = level(self._places.masked(text)) if self._places else self._text
        self._lines = Lines(self._text)
        self._breaks = LineBreaks(self._text, self._lines)
        self._sections = Sections(self._text)
        self._heads = {s.body for s in self._sections.found if s.alone}
        sections = {section.start for section in self._sections.found}
        self._forms = Forms(self._text, self._lines, self._heads, sections)
        self._questions = self._forms.questions
        self._starts = [0]  # code point at which each sentence starts
        self._leads = [None]  # for each sentence the Span of its lead-in, or None
        self._cut()
        self._starts, self._leads = _with_items(
            dict(zip(self._starts, self._leads)) | self._forms.leads,
            sections,
            self._forms.cuts,
        )

    def sentence(self, entity: Span) -> Span:
        """Give the span of the sentence, or sentences, that hold *entity*."""
        found = self._outside(self._sentence(self._inside(entity)))
        return Span(min(found.start, entity.start), max(found.end, entity.end))

    def _inside(self, entity: Span) -> Span:
        return self._places.inside(entity) if self._places else entity

    def _outside(self, span: Span | None) -> Span | None:
        return self._places.outside(span) if self._places and span else span

    def _sentence(self, entity: Span) -> Span:
        first = bisect_right(self._starts, entity.start) - 1
        after = bisect_left(self._starts, entity.end)
        end = self._starts[after] if after < len(self._starts) else len(self._text)
        return Span(self._starts[first], end)

    def regions(self, entity: Span) -> Regions:
        """Give where what is read of *entity* stands."""
        inside = self._inside(entity)
        known = self._sections.at(inside.start)
        heading = Span(known.start, known.start + len(known.name)) if known else None
        lead = self._outside(self._lead(inside))
        return Regions(self.sentence(entity), lead, self._outside(heading))

    def section(self, entity: Span) -> Section | None:
        """Give the section that *entity* stands in, or None."""
        return self._sections.at(self._inside(entity).start)

    def num_read(self, entity: Span) -> int:
        """Give how many code points of the sentence round *entity* are read."""
        entity = self._inside(entity)
        start, end = _bounds(self._text, self._sentence(entity), entity)
        return end - start

    def mark(
        self, entity: Span, headed: bool = False, section: str | None = None
    ) -> str:
        """Give the sentence round *entity* as the model was trained to see it.

        :param headed: whether the kind of section is read before it, where that says
            whose or when; *section* is its heading, if the client knows better.

        >>> SegmentedText("BP 1.5 down.\\nDenies fever.").mark(Span(20, 25))
        'Denies [entity] fever [entity].'
        >>> SegmentedText("She has no fever.").mark(Span(8, 16))
        'She has no [entity] fever [entity].'
        >>> SegmentedText("FHx\\n\\n- gout\\n- lupus").mark(Span(14, 19), headed=True)
        'Family history: [entity] lupus [entity]'
        """
        entity = self._inside(entity)
        sentence = self._sentence(entity)
        start, end = _bounds(self._text, sentence, entity)
        entity = _without_cue(self._text, entity)
        lead = self._lead(entity)
        known = self._sections.at(entity.start)
        heading = _heading(known, sentence, section) if headed else ""
        if heading and lead and section is None:
            lead = lead if lead.start >= known.body else None
        leading = self._read(lead.start, lead.end).strip() if lead else ""
        if leading and not leading.endswith(":"):
            leading += ":"
        before = f"{heading} {leading} {self._read(start, entity.start)}"
        inside = self._read(entity.start, entity.end, letters=False)
        return _marked(before, inside, self._read(entity.end, end))

    def _read(self, start: int, end: int, letters: bool = True) -> str:
        return read(self._forms.read(start, end, letters))

    def _lead(self, entity: Span) -> Span | None:
        span = self._leads[bisect_right(self._starts, entity.start) - 1]
        return None if span is None or span.end > entity.start else span

    def _cut(self) -> None:
        leads = LeadIns(self._text, self._lines, self._heads, self._questions.answers)
        lead, line_start, number = None, 0, 0  # of the line
        for found in _CANDIDATE.finditer(self._text):
            kind = found.lastgroup
            if kind == "hidden":
                continue
            if kind == "stop":
                if self._stops(self._starts[-1], found):
                    self._add(found.end(), None)
            elif kind == "heading":
                # "N, HTN:"
                if not self._is_within(found, line_start):
                    self._add(found.start(), None)
            else:
                line = Span(line_start, found.start())
                line_start = found.end()
                above, number = number, number + found.group().count("\n")
                led = line_start in self._forms.leads
                beside = line_start in self._forms.rows  # another row of answers
                alone = led or line.start in self._forms.hanging
                alone = alone or (beside and lead is None)
                lead = None if alone else leads.find(line, above, number, lead)
                if beside:
                    self._add(line_start, lead or self._leads[-1])
                elif led or self._ends_line(line, found, lead):
                    self._add(line_start, lead)

    def _is_within(self, heading: re.Match, line_start: int) -> bool:
        """Tell whether *heading*, within a line, is of what stands before it."""
        start, label = heading.start(), heading.group()
        if self._forms.hides(start) or self._forms.parts(start, heading.end()):
            return True
        gap = max(0, label.rfind("  "))
        return is_of_item(self._text, line_start, start + gap, label[gap:])

    def _ends_line(self, line: Span, found: re.Match, lead: Span | None) -> bool:
        """Tell whether the line break *found* behind *line* ends a sentence.

        :param lead: what leads in the line behind it, if anything.
        """
        answers, following = self._forms.answers, found.end()
        if lead is None and self._leads[-1] is None:
            # An item begins a sentence in any case, and of no lead before it.
            if self._forms.parts(following - 1, following + 1):
                return True
        if following in answers and found.group().count("\n") <= 2:
            return False
        if line.start in answers or line.end in self._heads or _is_blank(found.group()):
            return True
        start = self._starts[-1]
        if self._questions.says_when(start, line.end, following):
            return False
        return self._breaks.ends_sentence(line, following, start)

    def _add(self, start: int, lead: Span | None) -> None:
        """Begin a sentence at *start*, instead of the last one if that is blank."""
        last = self._starts[-1]
        if start - last <= 80 and not self._text[last:start].strip():
            self._leads[-1] = lead
            if last:  # the first sentence starts with the text
                self._starts[-1] = start
        elif start < len(self._text):
            self._starts.append(start)
            self._leads.append(lead)

    def _stops(self, start: int, found: re.Match) -> bool:
        """Tell whether the ``.``, ``!`` or ``?`` at *found* ends a sentence."""
        text, at = self._text, found.start()
        word = last_word(text, start, at).lstrip("(['\"")
        following = WORD.search(text, found.end(), found.end() + 50)
        after = following.group() if following else ""
        if not word:  # "? TIA": a sign before a word, or "..." on its own
            return False
        if found.group().startswith("?"):
            return self._questions.ends(start, at, found.end())
        if not found.group().startswith("."):
            return True
        if self._forms.hides(at):  # "1.", "A.", a line of dots
            return False
        if after[:1].islower() and text[found.end()] == " ":
            if is_shortened(text[max(start, at - MAX_CHARS) : at]):
                return False
        if at - start <= 20 and _ENUMERATOR.fullmatch(text[start:at].strip()):
            return False
        return _ends_with(text, start, at, word, after)


def _with_items(
    leads: dict[int, Span | None], sections: set[int], items: Iterable[int]
) -> tuple[list[int], list[Span | None]]:
    """Begin a sentence at every section too, and at every item of a form.

    The latter keeps the lead-in of its line.

    :param leads: for the start of each sentence what leads in, or None.
    :returns: all starts in order, and what leads in at each.
    """
    starts, found, lead = sorted({*sections, *items, *leads}), [], None
    for start in starts:
        lead = leads.get(start, None if start in sections else lead)
        found.append(lead)
    return starts, found


def _marked(before: str, inside: str, after: str) -> str:
    """Give an entity and what stands beside it, as they are meant."""
    after = spell(spell_result(before + inside, after.rstrip()))
    pieces = (_SPACES.sub(" ", piece) for piece in (spell(before), inside, after))
    before, inside, after = map(plain, pieces)
    before = without_pseudo_cue(before, inside)
    return f"{before}{MARKER} {inside.strip()} {MARKER}{after}".strip()


def _heading(known: Section | None, sentence: Span, section: str | None) -> str:
    """Give the kind of section, unless the sentence itself begins with it."""
    if section is not None:
        kind = kind_of(section)
    else:
        kind = known.kind if known and known.start < sentence.start else None
    return f"{kind}:" if kind else ""


def _bounds(text: str, sentence: Span, entity: Span) -> tuple[int, int]:
    """Give where reading starts and ends, never within a word."""
    start = max(sentence.start, entity.start - MAX_SIDE_CHARS)
    end = min(sentence.end, entity.end + MAX_SIDE_CHARS)
    if start > sentence.start:
        start = max(start, text.find(" ", start, entity.start))
    if end < sentence.end:
        space = text.rfind(" ", entity.end, end)
        end = space if space >= 0 else end
    return start, end


def _without_cue(text: str, entity: Span) -> Span:
    """Leave out the negation cue that *entity* begins with: it is said of the rest."""
    cue = _CUE.match(text, entity.start, entity.end)
    return Span(cue.end(), entity.end) if cue else entity


def _ends_with(text: str, start: int, at: int, word: str, after: str) -> bool:
    """Tell whether the full stop at *at*, after *word*, ends a sentence."""
    lower = word.lower()
    if lower in _TITLES:
        return False
    if len(word) == 1 and word.isupper():
        before = last_word(text, start, at - len(word) - 1)
        if before.lower() in _NAMED_BY_LETTER:
            return True
        if after[:1].isupper():
            return not before[:1].isupper()  # "John F. Kennedy"
        return not after[:1].islower()  # "A. fib"
    if "." in word.strip(".") and word[0].isalpha() or lower in _ABBREVIATIONS:
        if not after or after[0] in "*-•":
            return True
        before = text[max(start, at - len(word) - 10) : at - len(word)].rstrip()
        leads = lower in _LED_BY and before[-1:] in ("", *",;(")
        if (leads or lower in _ATTRIBUTES) and after[:2].isupper():
            return False  # "prev. MI"
        return after[0].isupper()
    return after not in _GOES_ON


def _is_blank(breaks: str) -> bool:
    """Tell whether white space holds more than one line break."""
    return breaks.count("\n") > 1

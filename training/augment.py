"""Variants of a row, so that the model learns the cues and not the words.

Every function takes a ``random.Random``; the label never changes.
"""

import random
import re
from dataclasses import replace

from data import HAPPENED, Row
from negation_api.text.sentences import SegmentedText
from negation_api.text.spans import Span

# Shares of the rows that are varied, chosen on held-out rows.
SWAP = 0.45  # another entity in the place of the row's own
RESPAN = 0.12  # a word more or a word less between the markers
NEIGHBOUR = 0.30  # a sentence beside, without a cut
HEADING = 0.08  # a section heading in front
NO_STOP = 0.25  # the last full stop away
UNCUT = 0.30  # several sentences together, as a client may send them
TYPO = 0.12  # a typing error, half of them in a cue
ABBREVIATION = 0.04  # the entity's initials in brackets behind it

MAX_UNCUT_CHARS = 400  # of a text that is shown whole

HEADINGS = """
HISTORY OF PRESENT ILLNESS|HPI|CHIEF COMPLAINT|PAST MEDICAL HISTORY|PMH|ASSESSMENT
ASSESSMENT AND PLAN|IMPRESSION|FINDINGS|INDICATION|CLINICAL HISTORY|COMPLICATIONS
PREOPERATIVE DIAGNOSIS|POSTOPERATIVE DIAGNOSIS|FINAL DIAGNOSIS|DISCHARGE DIAGNOSES
HOSPITAL COURSE|REVIEW OF SYSTEMS|ROS|PHYSICAL EXAMINATION|PE|ABDOMEN|CHEST|LUNGS
CARDIOVASCULAR|EXTREMITIES|NEUROLOGIC|SKIN|HEENT|GENERAL|LABORATORY DATA|PLAN|Dx|Hx
GI|GU|RESP|CV|PSYCH|S|O|A|P|A/P|CONCLUSION|COMMENT|PROCEDURE|PATIENT NAME|SUBJECTIVE
""".replace("\n", "|").strip("|").split("|")
# What stands under a heading, or at the end of a line, and belongs to neither side.
ANSWERS = """
None|none.|NONE|Negative.|No.|N/A|Unknown.|Yes.|Denied.|Normal.|Unremarkable.|noted
Noncontributory.|Stable.|as above|See above.|Reviewed.|none known|Not applicable.
""".replace("\n", "|").strip("|").split("|")
JOINS = (". ", ". ", ". ", ".  ", "; ", " - ", " ** ")

# Under these a thing is past, whatever the sentence says.
PAST_HEADINGS = frozenset({"PAST MEDICAL HISTORY", "PMH", "Hx"})
# Words whose misspelling changes no meaning: the cues, but for those of two letters.
_CUE = re.compile(
    r"""\b(denie[sd]|deny|denying|without|negative|possible|possibly|probable|probably
    |likely|unlikely|suspected|suspicious|concerning|concern|absent|resolved|evidence
    |history|previous|mother|father|family|brother|sister|return|monitor|prevent|never
    |ruled|cannot|excluded|questionable|presumed|neither)\b""",
    re.IGNORECASE | re.VERBOSE,
)

_WORD = re.compile(r"(?!entity)\b[a-z]{5,}\b")

MODIFIERS = """
acute chronic severe mild moderate significant recurrent persistent new worsening large
small left right bilateral diffuse intermittent any further associated marked known
""".split()
_MODIFIER = re.compile(rf"\b(?:{'|'.join(MODIFIERS)}) \Z", re.IGNORECASE)

# The vocabulary has one piece for all of these: shown as they are, they say nothing.
_BOX = re.compile("[\u2600-\u27bf\u25a0-\u25ff\u2205]")

# Entities that say more than a name cannot stand in for another, nor be replaced.
_NOT_A_NAME = re.compile(
    r"""\b(is|are|was|were|be|been|has|have|had|not|no|non|without|with|absent|negative
    |positive|normal|clear|denie[ds]|unable|able|to|free|of|in|on|for|and|or|the|a|an|by
    |lost|status|post|unknown|her|his|their|my|intact|unremarkable|benign|soft)\b
    |[0-9/:;,.()%?+*_-]|\b\w+ed\Z|\b\w+ing\Z|\b\w+ly\b|n't""",
    re.IGNORECASE | re.VERBOSE,
)


def is_name(entity: str) -> bool:
    """Tell whether *entity* is a plain name of a condition, one to four words.

    >>> [is_name(e) for e in ("chest pain", "lungs are clear", "vomiting")]
    [True, False, False]
    """
    return len(entity.split()) <= 4 and not _NOT_A_NAME.search(entity)


def name_pool(rows: list[Row], lexicon: list[str]) -> list[str]:
    """Collect the names that may replace an entity, whatever their label was."""
    spans = {row.text[row.start : row.end].lower() for row in rows}
    return sorted({name for name in spans | set(lexicon) if is_name(name)})


def swap(row: Row, names: list[str], rng: random.Random) -> Row:
    """Put another name into the place of the entity, if it is one."""
    if not is_name(row.text[row.start : row.end]):
        return row
    return _put(row, rng.choice(names))


def respan(row: Row, rng: random.Random) -> Row:
    """Take a modifier into the span, put one into it, or leave its first word out."""
    entity, before = row.text[row.start : row.end], row.text[: row.start]
    if modifier := _MODIFIER.search(before):
        return replace(row, start=modifier.start())
    if not is_name(entity):
        return row
    if " " in entity and rng.random() < 0.5:
        return replace(row, start=row.start + entity.index(" ") + 1)
    longer = _put(row, f"{rng.choice(MODIFIERS)} {entity}")
    outside = rng.random() < 0.5
    return replace(longer, start=longer.end - len(entity)) if outside else longer


def _put(row: Row, entity: str) -> Row:
    text = row.text[: row.start] + entity + row.text[row.end :]
    return replace(row, text=text, end=row.start + len(entity))


def beside(marked: str, neighbours: list[str], rng: random.Random) -> str:
    """Set *marked* among sentences or headings that do not concern its entity."""
    before, after = rng.choice(((1, 0), (0, 1), (1, 1), (2, 0), (0, 2)))
    pieces = [_stray(neighbours, rng) for _ in range(before)]
    pieces += [marked] + [_stray(neighbours, rng) for _ in range(after)]
    joined = pieces[0]
    for piece in pieces[1:]:
        ended = joined.endswith((".", "!", "?", ":", ";"))
        joined += (" " if ended else rng.choice(JOINS)) + piece
    return joined


def _stray(neighbours: list[str], rng: random.Random) -> str:
    if rng.random() < 0.25:
        answer = rng.choice(ANSWERS)
        return f"{rng.choice(HEADINGS)}: {answer if answer[-1] == '.' else answer}"
    stray = " ".join(rng.choice(neighbours).split())
    return stray if rng.random() < 0.7 else f"{rng.choice(HEADINGS)}: {stray}"


def render(row: Row) -> str:
    """Give the string that the service would make of *row*."""
    if row.start is None:
        return " ".join(row.text.split())
    return SegmentedText(row.text).mark(Span(row.start, row.end), headed=True)


def uncut(row: Row) -> str:
    """Give *row* marked with everything round it, as a client may send it."""
    if row.start is None:
        return render(row)
    before, entity, after = _three(row)
    return " ".join(f"{before}[entity] {entity} [entity]{after}".split())


def _three(row: Row) -> tuple[str, str, str]:
    text = row.text
    return text[: row.start], text[row.start : row.end], text[row.end :]


def misspell(text: str, rng: random.Random) -> str:
    """Make a typing error in a word of *text*: two letters changed, one lost or twice.

    >>> misspell("denies fever", random.Random(1))
    'deneis fever'
    """
    words, cues = list(_WORD.finditer(text)), list(_CUE.finditer(text))
    if cues and (not words or rng.random() < 0.5):
        words = cues
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    here, after = text[at], text[at + 1]
    wrong = rng.choice((after + here, here, after, here + here + after))
    return text[:at] + wrong + text[at + 2 :]


def abbreviate(row: Row) -> Row:
    """Put the entity's initials in brackets behind it, if it is a name.

    >>> row = Row("No chest pain.", 3, 13, "ABSENT", "", "")
    >>> abbreviate(row).text
    'No chest pain (CP).'
    """
    entity = row.text[row.start : row.end]
    if " " not in entity or not is_name(entity):
        return row
    initials = "".join(word[0] for word in entity.split()).upper()
    text = f"{row.text[: row.end]} ({initials}){row.text[row.end :]}"
    return replace(row, text=text)


def under_heading(row: Row, marked: str, rng: random.Random) -> tuple[str, Row]:
    """Set a section's heading before *marked*; what it says of time goes with it."""
    heading = rng.choice(HEADINGS)
    if heading in PAST_HEADINGS and "HYPOTHETICAL" not in row.temporality:
        row = replace(row, temporality=HAPPENED)
    return f"{heading}: {marked}", row


def vary(
    row: Row, names: list[str], neighbours: list[str], rng: random.Random
) -> tuple[str, Row]:
    """Give a random variant of *row*, ready for the tokenizer, and what it is."""
    if row.start is not None:
        if rng.random() < SWAP:
            row = swap(row, names, rng)
        if rng.random() < RESPAN:
            row = respan(row, rng)
        if rng.random() < ABBREVIATION:
            row = abbreviate(row)
    short = len(row.text) <= MAX_UNCUT_CHARS and not _BOX.search(row.text)
    marked = uncut(row) if short and rng.random() < UNCUT else render(row)
    if rng.random() < NO_STOP:
        marked = marked.removesuffix(".")
    if rng.random() < TYPO:
        marked = misspell(marked, rng)
    if row.start is None:
        return marked, row
    if rng.random() < HEADING:
        marked, row = under_heading(row, marked, rng)
    if rng.random() < NEIGHBOUR:
        own = [s for s in (row.before, row.after) if s and len(s) < 200]
        marked = beside(marked, own or neighbours, rng)
    return marked, row

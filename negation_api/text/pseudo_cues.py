"""Pseudo-cues: words that tell what an entity is like, not whether it is or whose.

"HER2-negative breast cancer" is one, "non-bloody diarrhea" diarrhea, "free air" air.
They are the pseudo-negations of NegEx (Chapman et al. 2001,
https://doi.org/10.1006/jbin.2001.1029), and count where they stand before an entity.
Only known pairs are left out: "CT negative PE", "culture negative MRSA" and
"nonpalpable spleen" are denials.
"""

import re

from negation_api.text.answers import any_of, phrases

_NEGATIVE = r"(?:[ ]?[-\u2013\u2212]?[ ]?neg(?:ative|\.)?|[ ]?\(-\))"
_HYPHENATED = r"[-\u2013]neg(?:ative)?"
_TUMOUR_MARKERS = phrases(
    """her2 her-2 her2/neu her-2/neu er/pr pr/er er/pr/her2 receptor hormone_receptor
    estrogen_receptor oestrogen_receptor progesterone_receptor hpv ebv p16 jak2
    bcr-abl philadelphia philadelphia_chromosome egfr ros1 braf kras brca flt3 idh
    c-kit pd-l1 ttf1 ttf-1 ck7 cd20 triple double"""
)
_TUMOUR = r"""(?:[\w-]+[ ]){0,4}(?: cancer | \w*carcinoma | ca | tumou?rs? | glio\w+
    | mpn | melanoma | lymphoma | leuka?emia | sarcoma | all | aml | cll | cml | nsclc
    | dcis | gist | polycyth\w+ | thrombocyth\w+ | thrombocytosis | myelofib\w+ )\b"""
_AUTOIMMUNE = r"""(?:[\w-]+[ ]){0,3}(?: \w*arthr\w+ | ra | rheumatoid.* | spondyl\w+
    | nmo | vasculitis | myasthenia.* | neuromyelitis.* | glomeruloneph\w+
    | polyang\w+ )\b"""
_LOSSES = any_of(
    "blood bile mucus mucous melena melaena hematochezia hematemesis hemoptysis".split()
)
_ADJECTIVES = phrases(
    """alcoholic allergic bilious blanching bloody calcified cardiac cardiogenic
    cirrhotic convulsive diabetic displaced epileptic erosive exertional
    functioning granulomatous healing hemolytic hemorrhagic haemorrhagic hodgkin
    hodgkin's hodgkins insulin-dependent invasive ischaemic ischemic ketotic
    melanoma muscle-invasive obstructing obstructive occlusive oliguric
    pathological_fracture pitting pleuritic productive proliferative pruritic
    purulent q_wave radiating rheumatic scarring seminomatous small_cell
    small-cell specific st st_elevation st-elevation st_segment_elevation suppurative
    sustained toxic traumatic tuberculous union valvular variceal anion_gap gap"""
)
# Modifiers, and how what they modify begins. Both are read verbosely.
_PAIRS = (
    (rf"gram{_NEGATIVE}", r"(?!growth|bacteria\b|infection\b|gonor|mening)"),
    (
        rf"(?:coag|coagulase){_NEGATIVE}",
        "(?!.*aureus)(?:staph|cocc|bacter|sepsis|endocard|infection)",
    ),
    (
        rf"(?: (?:{any_of(_TUMOUR_MARKERS)}|er|pr|hr|alk|ph){_NEGATIVE}"
        rf"| (?<!sentinel[ ])(?<!axillary[ ])(?:lymph[ ])?node{_HYPHENATED} )",
        _TUMOUR,
    ),
    (
        rf"(?: (?:rf|rheumatoid[ ]factor|ana|(?:[cp]-?)?anca|(?:anti-?)?ccp|acpa|musk"
        rf"|achr|aqp4|antibody){_NEGATIVE} | sero[ -]?negative )",
        _AUTOIMMUNE,
    ),
    (rf"(?:blood[ ])?culture(?:[ ]negative|{_HYPHENATED})", "(?:\\w+[ ])?endocard"),
    (rf"smear(?:[ ]negative|{_HYPHENATED})", r"(?:pulmonary[ ])?(?:tb\b|tubercul)"),
    (rf"biopsy{_HYPHENATED}", "(?:temporal[ ])?(?:giant|gca|arteritis)"),
    (rf"margin{_HYPHENATED}", r"resect|\w*ectomy"),
    (rf"trop(?:onin)?{_HYPHENATED}", "chest[ ]pain|acs|unstable"),
    (rf"covid(?:-19)?{_HYPHENATED}", "(?:\\w+[ ])?pneumonia"),
    (rf"strep{_HYPHENATED}", "pharyng|tonsill|sore"),
    (rf"non(?:[-\u2013]|[ ])?{any_of(_ADJECTIVES)}", rf"(?!{_LOSSES}|injury)"),
    (r"nb[/ -]?nb", rf"(?!{_LOSSES})"),
    (r"no-(?:reflow|touch|scalpel)", ""),
    (
        "(?:typical[ ]|atypical[ ])?absence",
        r"seizures\b|epileps|status[ ]epi|(?:spells|attacks|fits)\Z",
    ),
    (
        "free",
        r"(?:intraperitoneal[ ]|retroperitoneal[ ]|pelvic[ ])?(?:air|gas|fluid)|flap"
        r"|t[34]\b|thyrox|triiodo|water|light[ ]chain",
    ),
    ("free-floating", "thrombus|anxiety"),
    ("[a-z]{3,20}-free", "survival|interval|remission|period|diet|margin|range"),
    (
        "negative",
        r"(?:ino|chrono|dromo)trop|feedback|pressure[ ](?:wound|therap|ventil|dress)"
        r"|affect\Z|(?:fluid[ ]|nitrogen[ ])?balance\Z|emotions?\Z|cognitions?\Z"
        r"|self-(?:talk|esteem|image|view|belief)|base[ ]excess|inspiratory[ ]force",
    ),
    # Of nobody but the patient.
    (
        "familial",
        r"(?:combined[ ]|heterozygous[ ]|homozygous[ ])?(?:hyper|hypo|dys)\w*lip|als\b"
        r"|adenomat|amyloid|cold[ ]auto|dysauto|hemiplegic|hemophago|hypercholest"
        r"|hypocalciuric|mediterranean|periodic|polyposis",
    ),
    ("daughter", r"(?:cyst|lesion|nodule|cell)s?\b"),
    (r"sister[ ]mary[ ]joseph(?:'s)?", "lesion|metast|nod"),
    ("donor", "site"),
    ("donor-site", ""),
)
_MAX_CHARS, _MAX_WORDS = 40, 3
_JOINT = r"(?P<joint>[ ]?[,/][ ]?|[ ](?:(?:and|&)[ ])?)"
_LAST_JOINTS = frozenset([" ", ", "])  # before what is modified
_MODIFIERS = tuple(
    tuple(
        re.compile(pattern, re.VERBOSE | re.IGNORECASE)
        for pattern in (rf"(?<![\w-])(?:{modifier}){_JOINT}\Z", modified)
    )
    for modifier, modified in _PAIRS
)
# What all of them have, and few sentences.
_HINT = re.compile(
    r"neg|\bno[n-]|free|absence|\(-\)|\bnb|familial|daughter|sister|donor",
    re.IGNORECASE,
)
_AND = re.compile(r"\band[ ]\Z", re.IGNORECASE)
# A word that may lead to the entity.
_WORD = re.compile(
    r"""(?<!\S) (?! (?:of|from|for|to|with|without|in|on|at|by|since|during|and|or|nor
    |but|no|not|is|was|are|were|has|had|have|who|that|which|then|today|except)\b )
    [a-z]+(?:-[a-z]+)*[ ]\Z""",
    re.VERBOSE | re.IGNORECASE,
)


def without_pseudo_cue(before: str, inside: str) -> str:
    """Leave out a pseudo-cue before an entity, or before the words that lead to it.

    :param before: what stands before the entity in its sentence.
    :param inside: the entity's own words.

    >>> without_pseudo_cue("Possible HER2-negative invasive ", "breast cancer")
    'Possible invasive '
    >>> without_pseudo_cue("Culture-negative ", "MRSA")
    'Culture-negative '
    """
    if not _HINT.search(before, max(0, len(before) - 3 * _MAX_CHARS)):
        return before
    end, words = len(before), ""
    for _ in range(_MAX_WORDS + 1):
        start = _begins(before, end, words + inside.strip())
        if start < end and not before.endswith("/", 0, start):
            return _AND.sub("", before[:start]) + words
        word = _WORD.search(before, max(0, end - _MAX_CHARS), end)
        if not word:
            break
        end, words = word.start(), word.group() + words
    return before


def _begins(before: str, end: int, phrase: str) -> int:
    """Give where the modifiers of *phrase* that end at *end* begin."""
    place = end
    while True:
        for modifier, modified in _MODIFIERS:
            near = max(0, place - _MAX_CHARS)
            found = modified.match(phrase) and modifier.search(before, near, place)
            if found and (place < end or found["joint"] in _LAST_JOINTS):
                place = found.start()
                break
        else:
            return place

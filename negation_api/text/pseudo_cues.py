"""Pseudo-cues: words that tell what an entity is like, and deny something else.

"Gram-negative sepsis" is sepsis, "non-bloody diarrhea" diarrhea, "free air" air. They
are the pseudo-negations of NegEx (Chapman et al. 2001,
https://doi.org/10.1006/jbin.2001.1029), which count where they stand before an entity.
Known ones only: "CV-negative chest pain", "CT negative PE" deny what they precede.
"""

import re

from negation_api.text.answers import any_of


def _any(words: str) -> str:
    return any_of(word.replace("_", " ") for word in words.split())


# What a germ or a tumour is, whatever it is called.
_KIND = _any("gram coag coagulase triple double")
# Tests whose result stands before what was found all the same.
_TEST = _any("""her2 her-2 her2/neu her-2/neu er er/pr pr/er er/pr/her2 hr receptor
    hormone_receptor estrogen_receptor oestrogen_receptor progesterone_receptor ana anca
    c-anca p-anca canca panca rheumatoid_factor rf/ccp ccp anti-ccp acpa node culture
    blood_culture smear sputum_smear ebv hpv hiv jak2 jak-2 bcr-abl ph philadelphia
    philadelphia_chromosome chromosome egfr alk ros1 braf kras brca flt3 idh kit c-kit
    pd-l1 pdl1 ttf1 ttf-1 ck7 s100 p16 cd20 hla-b27 hla_b27 musk achr aqp4 tpo gad
    coombs h_pylori h._pylori rh rhd rhesus""")
# Of these it is not known without a hyphen.
_HYPHENATED = _any(
    """lymph_node pr rf margin biopsy monospot strep flu influenza rsv covid covid-19
    sars-cov-2 trop troponin dimer d-dimer antibody"""
)
# What tests look for, and so deny.
_SOUGHT = re.compile(
    r"\b(?:afb|gas|mrsa|mssa|vre|pe|mi)\b|acid.?fast|amplif|anti(?:body|bodies|gen)"
    r"|bacill|bcr|cells?\b|coli\b|covid|deletion|dna\b|dvt|dysplas|eb[ev]|embol"
    r"|expression|flu\b|fusion|growth|hpv|infarct|influ|intraepi|malaria|malig|metast"
    r"|mono|mutation|organism|rearrang|recurr|rna\b|rsv|salmon|sars|staph|strep|titer"
    r"|transloc|tumou?r|viral|virus",
    re.IGNORECASE,
)
# "Non-" before these says that what follows is not there, not seen or not done.
_DENYING = _any(
    """acti acute adher appar apprec audib auscul complian comply confirm contrib
    convinc current defin demonstr detect distend document drug elevat elicit enlarg
    etheless eviden exist felt find focal found free further icter identif inject
    known neg new noted observ obtain obvious other overt palpa patholog percept
    perform present prev prior rais react recent record relev remark report resid
    seen sense sign suspe suspi swoll tender thick use viab visib visuali"""
)
# "Non" with a blank may be a slip of "no", or Italian.
_ADJECTIVE = _any(
    """alcoholic bilious bloody cardiac diabetic exertional ischaemic ischemic pitting
    productive purulent radiating sustained traumatic"""
)
_NEGATIVE = r"(?:[ ]?[-\u2013\u2212]?[ ]?neg(?:ative|\.)?|[ ]?\(-\))"
_LIKE = rf"""(?: {_KIND}{_NEGATIVE}
    | non[ -](?: st[ -](?:segment[ -])?elevation | small[ -]cell | [Qq][ -]wave
      | anion[ -]gap | {_ADJECTIVE} )
    | non[-\u2013]?(?!{_DENYING})[a-z]{{3,}}(?:-[a-z]+)*
    | (?-i:[Nn]on-[A-Z][A-Z0-9]{{0,4}}) | nb[/ -]?nb | no-(?:reflow|touch|scalpel) )"""
_RESULT = rf"""(?: sero[ -]?neg(?:ative)? | {_HYPHENATED}[-\u2013]neg(?:ative|\.)?
    | (?<!lymph[ ])(?<!urine[ ])(?<!stool[ ])(?<!csf[ ])(?<!throat[ ])(?<!wound[ ])
      {_TEST}{_NEGATIVE} )"""
_NEXT = r"(?: [ ]?[,/][ ]? | [ ](?:(?:and|&)[ ])? )"
# What may stand between it and the entity.
_WORDS = r"""(?P<words> (?: (?! (?:of|from|for|to|with|without|in|on|at|by|since|during
    |and|or|nor|but|no|not|is|was|are|were|has|had|have|who|that|which|then|today|except
    )\b ) [a-z]+(?:-[a-z]+)*[ ] ){0,3} ) \Z"""
_MODIFIERS = re.compile(
    rf"""(?: (?<![\w/-]) | (?<=positive/) ) (?:and[ ])?
    (?: {_LIKE} | (?P<result> {_RESULT} ) )
    (?: {_NEXT} (?: {_LIKE} | {_RESULT} | pr{_NEGATIVE} ) ){{0,4}} ,?[ ] {_WORDS}""",
    re.VERBOSE | re.IGNORECASE,
)
# Words of a name, and how it goes on.
_NAMES = tuple(
    (
        re.compile(rf"(?<![\w-])(?:{words})[ ]{_WORDS}", re.VERBOSE | re.IGNORECASE),
        re.compile(rest, re.IGNORECASE),
    )
    for words, rest in (
        ("absence", r"seizures\b|epileps|status epi|(?:spells|attacks|fits)\Z"),
        (
            "free(?:-floating)?",
            r"air|gas|fluid|flap|t[34]\b|thyrox|triiodo|water|light chain|thrombus"
            r"|anxiety|(?:intra|retro)peritoneal",
        ),
        ("[a-z]{3,20}[ -]free", "survival|interval|remission|period|diet|margin|range"),
        (
            "negative",
            r"(?:ino|chrono|dromo)trop|feedback|pressure (?:wound|therap|ventil|dress"
            r"|room|pulm)|affect\Z|(?:fluid |nitrogen )?balance\Z|emotions?\Z"
            r"|cognitions?\Z|thinking\Z|self-|body image|base excess|inspiratory",
        ),
    )
)
_MAX_CHARS = 100
# What all of them have, and few sentences.
_HINT = re.compile(r"neg|\bno[n-]|free|absence|\(-\)|\bnb", re.IGNORECASE)


def without_pseudo_cue(before: str, inside: str) -> str:
    """Leave out a pseudo-cue before an entity, or before the words that lead to it.

    :param before: what stands before the entity in its sentence.
    :param inside: the entity's own words.

    >>> without_pseudo_cue("Possible HER2-negative invasive ", "breast cancer")
    'Possible invasive '
    >>> without_pseudo_cue("Culture-negative ", "growth")
    'Culture-negative '
    """
    inside, start = inside.strip(), max(0, len(before) - _MAX_CHARS)
    if not _HINT.search(before, start):
        return before
    found = _MODIFIERS.search(before, start)
    if found and found["result"] and _SOUGHT.search(inside):
        return before
    named = (words.search(before, start) for words, it in _NAMES if it.match(inside))
    if found := found or next(filter(None, named), None):
        return before[: found.start()] + found["words"]
    return before

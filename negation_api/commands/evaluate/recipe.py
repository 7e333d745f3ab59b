"""How a holder of a corpus that may not be handed on makes a file to evaluate.

Each recipe says where the corpus is, how its offsets count, and what each class is on
the three axes; the conventions of this project are in ``training/GUIDELINES.md``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """A corpus.

    :ivar facts: name -> what is known of it, sources included.
    :ivar classes: a class or values of it -> (label, experiencer, temporality, holds);
        "-" is null.
    :ivar mind: what the figures will not tell.
    """

    title: str
    facts: dict[str, str]
    classes: dict[str, tuple[str, str, str, str]]
    mind: tuple[str, ...]


RECIPES = {
    "i2b2": Recipe(
        "i2b2/VA 2010, assertions of medical problems",
        {
            "paper": "Uzuner et al. 2011, https://doi.org/10.1136/amiajnl-2011-000203",
            "data": "https://n2c2.dbmi.hms.harvard.edu/data-sets, under an agreement",
            "files": '.txt and .ast; a line of .ast: c="chest pain" 5:7 5:8||'
            't="problem"||a="present"',
            "text": "the whole .txt",
            "offsets": "line:word of first and last word; lines count from 1, words,"
            " parted by blanks, from 0; start and end are their code points",
        },
        {
            "present": ("PRESENT", "PATIENT", "-", "true"),
            "absent": ("ABSENT", "PATIENT", "-", "false"),
            "possible": ("POSSIBLE", "PATIENT", "-", "false"),
            "hypothetical": ("-", "PATIENT", "HYPOTHETICAL", "false"),
            "conditional": ("-", "PATIENT", "-", "-"),
            "associated_with_someone_else": ("-", "NOT_PATIENT", "-", "false"),
        },
        (
            "Past and current problems are one class, so temporality is known of the"
            " hypothetical alone: recall counts there, precision does not.",
            "conditional is a problem under circumstances (on exertion, an allergy);"
            " by our conventions some of it happened and some did not.",
            "associated_with_someone_else says neither whose nor whether they have it.",
            "ClinicalBERT (van Aken et al. 2021) was trained on this corpus.",
        ),
    ),
    "n2c2": Recipe(
        "n2c2: temporal relations (i2b2 2012), family history (2019), drugs (2022)",
        {
            "assertions": "of 2010 are handed out by n2c2 too: --recipe i2b2",
            "2012": "Sun et al. 2013, https://doi.org/10.1136/amiajnl-2013-000628;"
            " EVENT of type PROBLEM, TREATMENT or TEST, polarity and modality",
            "2019": "n2c2/OHNLP, Shen et al. 2021, https://doi.org/10.2196/24008;"
            " Observation with its negation",
            "2022": "CMED, Mahajan et al. 2021, https://arxiv.org/abs/2011.08835;"
            " drug with a Disposition and its context",
            "data": "https://n2c2.dbmi.hms.harvard.edu/data-sets, under an agreement",
            "text": "the whole note",
            "offsets": "of characters from 0, end exclusive; see that text[start:end]"
            " is the annotated text, for XML escapes and line ends count too",
        },
        {
            "2012 POS, FACTUAL": ("PRESENT", "-", "-", "-"),
            "2012 NEG, FACTUAL": ("ABSENT", "-", "-", "false"),
            "2012 POSSIBLE": ("POSSIBLE", "-", "-", "false"),
            "2012 PROPOSED": ("-", "-", "HYPOTHETICAL", "false"),
            "2012 CONDITIONAL": ("-", "-", "HYPOTHETICAL", "false"),
            "2019 of a relative": ("PRESENT", "FAMILY", "-", "false"),
            "2019 the same, negated": ("ABSENT", "FAMILY", "-", "false"),
            "2019 of no relative": ("-", "-", "-", "-"),
            "2022 Start, Certain, Past|Present": ("PRESENT", "PATIENT", "-", "true"),
            "2022 Start, Certain, Negated": ("ABSENT", "PATIENT", "-", "false"),
            "2022 Stop, Certain, Past|Present": ("ABSENT", "PATIENT", "-", "false"),
            "2022 Future, or Hypothetical": ("-", "PATIENT", "HYPOTHETICAL", "false"),
            "2022 Conditional": ("-", "PATIENT", "HYPOTHETICAL", "false"),
            "2022 other, NoDisposition": ("-", "-", "-", "-"),
        },
        (
            "2012 does not say whose an event is: without a person's look at relatives"
            " its PRESENT is not known to hold.",
            "2012 ties events to times by TLINK; before the admission is not yet past"
            " by our conventions, so temporality is left out.",
            "2022 labels the change of a drug, not the drug; only the rows above follow"
            " from it. A stopped drug is ABSENT here.",
            "Make a file of each year: their conventions differ.",
        ),
    ),
    "mimic": Recipe(
        "MIMIC-III, 5,000 assertion labels of van Aken et al.",
        {
            "paper": "van Aken et al. 2021, https://aclanthology.org/2021.nlpmc-1.5/",
            "labels": "https://github.com/bvanaken/clinical-assertion-data,"
            " Apache-2.0, labels/*.csv: row_id, start_index, end_index, label",
            "notes": "NOTEEVENTS.csv of MIMIC-III, https://physionet.org/content/"
            "mimiciii/, under an agreement",
            "text": "TEXT of the row whose ROW_ID is row_id, whole: the service cuts"
            " sentences itself",
            "offsets": "start_index and end_index are start and end",
        },
        {
            "PRESENT": ("PRESENT", "-", "-", "-"),
            "ABSENT": ("ABSENT", "-", "-", "-"),
            "POSSIBLE": ("POSSIBLE", "-", "-", "-"),
        },
        (
            "Neither whose nor when is labelled; nothing can be said of holds.",
            "The published figures are for sentences cut at every stop and blank line"
            " (convert_to_samples.py there); training/sentence_cuts.py compares.",
        ),
    ),
}

_COLUMNS = ("label", "experiencer", "temporality", "holds")


def recipe(name: str) -> str:
    """Lay out the recipe *name* for reading."""
    one = RECIPES[name]
    width = max(map(len, one.classes)) + 2
    lines = [one.title, ""]
    lines += [f"{what}: {fact}" for what, fact in one.facts.items()]
    lines += [
        "",
        "One JSON object a line: text, start, end (code points), and by its class (-:"
        " null, not counted)",
        "",
        f"{'class':<{width}}" + _row(_COLUMNS),
    ]
    lines += [f"{each:<{width}}" + _row(v) for each, v in one.classes.items()]
    return "\n".join([*lines, "", *(f"- {each}" for each in one.mind)])


def _row(cells: tuple[str, ...]) -> str:
    label, whose, when, holds = cells
    return f"{label:<10}{whose:<13}{when:<14}{holds}"

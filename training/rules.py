"""Label given entities with the rule systems: negspacy, medspaCy, nlplite, pynegex.

"medspacy" is its ConText; "medspacy-sections" has its sectionizer too, whose sections
set the attributes of what stands in them, as both do by default; "medspacy-naive" has
spaCy's plain splitter in place of PyRuSH.

    python training/rules.py --system medspacy < rows.jsonl > labelled.jsonl

adds ``rule_label`` (PRESENT, ABSENT or POSSIBLE) to every row, in order, and
for medspaCy ``rule_flags``, the other ConText attributes that hold
("family", "hypothetical", "historical"), with ``rule_experiencer`` and
``rule_temporality``, which follow from them. The systems need two environments,
which ``training/rules.sh`` makes; this script runs itself again in the right one,
so that any Python 3.11 may start it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from progress import progress

VENV_OF = {
    "negspacy": "spacy",
    "medspacy": "spacy",
    "medspacy-sections": "spacy",
    "medspacy-naive": "spacy",
    "nlplite": "nlplite",
    "pynegex": "nlplite",
}
SYSTEMS = tuple(VENV_OF)
WITH_AXES = ("medspacy", "medspacy-sections", "medspacy-naive")
CONTEXT_FLAGS = ("family", "hypothetical", "historical")
PLACEHOLDER = "QXENTITYQX"
SENTENCE_RE = re.compile(r"[^\n]+?(?:[.!?](?=\s)|\n|$)")


def venvs_dir():
    """Directory of the rule systems' virtual environments."""
    default = Path(__file__).resolve().parent / ".venvs"
    return Path(os.environ.get("RULES_VENVS", default))


# spaCy systems --------------------------------------------------------------


def negspacy_pipeline():
    """Return NegEx for spaCy with its default clinical terms."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401  (registers "negex")

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("negex")
    return nlp


def medspacy_pipeline(*more):
    """Return medspaCy's default pipeline without its own entity matcher.

    :param more: components beside those, in their order behind them.
    """
    import medspacy
    from loguru import logger

    logger.disable("PyRuSH")  # it logs every sentence, clinical text, at DEBUG
    parts = ("medspacy_tokenizer", "medspacy_pyrush", "medspacy_context")
    return medspacy.load(medspacy_enable=(*parts, *more))


def medspacy_naive_pipeline():
    """Return the same with a sentence ending wherever a full stop does."""
    import medspacy

    nlp = medspacy.load(medspacy_enable=("medspacy_tokenizer", "medspacy_context"))
    nlp.add_pipe("sentencizer", first=True)
    return nlp


def negspacy_verdict(entity):
    """Read *entity*'s label; negspacy knows no hedges."""
    return {"rule_label": "ABSENT" if entity._.negex else "PRESENT"}


def medspacy_verdict(entity):
    """Read *entity*'s label, flags and axes.

    A negation outranks a hedge; what is hypothetical has not been in the past.
    """
    label = "PRESENT"
    if entity._.is_negated:
        label = "ABSENT"
    elif entity._.is_uncertain:
        label = "POSSIBLE"
    flags = [name for name in CONTEXT_FLAGS if getattr(entity._, f"is_{name}")]
    temporality = "HISTORICAL" if "historical" in flags else "CURRENT"
    return {
        "rule_label": label,
        "rule_flags": flags,
        "rule_experiencer": "FAMILY" if "family" in flags else "PATIENT",
        "rule_temporality": "HYPOTHETICAL" if "hypothetical" in flags else temporality,
    }


def pack(nlp, rows):
    """Make one Doc a text, or several where given entities overlap.

    Yields ``(doc, indices)``: ``doc.ents[k]`` is the entity of
    ``rows[indices[k]]``. Rows whose span holds no token are left out.
    """
    by_text = {}
    for index, row in enumerate(rows):
        by_text.setdefault(row["text"], []).append(index)
    for text, indices in by_text.items():
        yield from _pack_text(nlp, text, [(i, rows[i]) for i in indices])


def _pack_text(nlp, text, numbered):
    docs = []  # of (doc, {token: row index}, [(span, row index)])
    for index, row in sorted(numbered, key=lambda pair: pair[1]["start"]):
        for doc, taken, placed in docs:
            span = _span(doc, row)
            if span is None or not taken.isdisjoint(range(span.start, span.end)):
                continue
            break
        else:
            doc, taken, placed = nlp.make_doc(text), set(), []
            span = _span(doc, row)
            if span is None:
                continue
            docs.append((doc, taken, placed))
        taken.update(range(span.start, span.end))
        placed.append((span, index))
    for doc, _, placed in docs:
        placed.sort(key=lambda pair: pair[0].start)
        doc.ents = [span for span, _ in placed]
        yield doc, [index for _, index in placed]


def _span(doc, row):
    return doc.char_span(
        row["start"], row["end"], label="ENTITY", alignment_mode="expand"
    )


def spacy_verdicts(nlp, verdict, rows):
    """Yield ``(row index, verdict)`` for every row that *nlp* can place."""
    packed = list(pack(nlp, rows))
    docs = nlp.pipe((doc for doc, _ in packed), batch_size=128)
    for doc, (_, indices) in zip(docs, packed):
        for entity, index in zip(doc.ents, indices):
            yield index, verdict(entity)


SPACY = {
    "negspacy": (negspacy_pipeline, negspacy_verdict),
    "medspacy": (medspacy_pipeline, medspacy_verdict),
    "medspacy-sections": (
        partial(medspacy_pipeline, "medspacy_sectionizer"),
        medspacy_verdict,
    ),
    "medspacy-naive": (medspacy_naive_pipeline, medspacy_verdict),
}


# plain Python systems -------------------------------------------------------


def nlplite(rows):
    """Label *rows* the way ``nlplite.get_assertion_status`` labels its hits.

    Its scopes are asked directly, because its public functions search a term
    and cannot be told which occurrence is meant.
    """
    from nlplite.negation import NegEx
    from nlplite.utils import span_overlaps_any

    negex, scopes_of = NegEx(), {}
    for index, row in enumerate(rows):
        text, span = row["text"], (row["start"], row["end"])
        if text not in scopes_of:
            scopes_of[text] = negex.scopes(text, window_words=None)
        label = "PRESENT"
        if span_overlaps_any(span, scopes_of[text]["negation"]):
            label = "ABSENT"
        elif span_overlaps_any(span, scopes_of[text]["uncertainty"]):
            label = "POSSIBLE"
        yield index, {"rule_label": label}


def sentence_around(text, start, end):
    """Return ``(first, last)``, from *start*'s sentence to the end of *end*'s.

    >>> sentence_around("Has a cough. No fever. Feels well.", 16, 21)
    (12, 22)
    """
    spans = [match.span() for match in SENTENCE_RE.finditer(text)]
    first = max((s for s, _ in spans if s <= start), default=0)
    last = min((e for _, e in spans if e >= end), default=len(text))
    return first, last


def pynegex(rows):
    """Label *rows* with Chapman's NegEx and its English triggers.

    The entity is replaced by a word of its own, because NegEx looks a phrase
    up by its text: it would take another occurrence, and miss a phrase that
    holds a trigger.
    """
    import pynegex
    from pynegex.model.negex import negTagger, sortRules

    triggers = Path(pynegex.__file__).parent / "model/triggersets/chapman-en.txt"
    rules = sortRules(triggers.read_text(encoding="utf-8").splitlines())
    labels = {"negated": "ABSENT", "possible": "POSSIBLE", "affirmed": "PRESENT"}
    for index, row in enumerate(rows):
        text, start, end = row["text"], row["start"], row["end"]
        first, last = sentence_around(text, start, end)
        sentence = text[first:start] + PLACEHOLDER + text[end:last]
        tagger = negTagger(sentence, phrases=[PLACEHOLDER], rules=rules)
        yield index, {"rule_label": labels[tagger.getNegationFlag()]}


# command line ---------------------------------------------------------------


def load_system(system):
    """Load *system*: from rows to ``(row index, verdict)`` of those that it answers."""
    if system in SPACY:
        pipeline, verdict = SPACY[system]
        return partial(spacy_verdicts, pipeline(), verdict)
    return {"nlplite": nlplite, "pynegex": pynegex}[system]


def label_rows(system, rows):
    """Return *rows* with the verdicts of *system*.

    The patient's, PRESENT and CURRENT, where it gave none.
    """
    nothing = {"rule_label": "PRESENT"}
    if system in WITH_AXES:
        nothing |= {"rule_experiencer": "PATIENT", "rule_temporality": "CURRENT"}
    labelled = [row | nothing for row in rows]
    for index, verdict in progress(load_system(system)(rows), len(rows), system):
        labelled[index].update(verdict)
    return labelled


def run_system(system, rows):
    """Label *rows* in a process of its own, in *system*'s environment."""
    done = subprocess.run(
        [sys.executable, __file__, "--system", system],
        input="".join(json.dumps(row) + "\n" for row in rows),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def enter_venv(system):
    """Start this script again in *system*'s environment, unless it is in it."""
    venv = venvs_dir() / VENV_OF[system]
    if Path(sys.prefix).resolve() == venv.resolve():
        return
    python = venv / "bin" / "python"
    if not python.exists():
        sys.exit(f"no environment for {system}: run training/rules.sh first")
    os.execv(python, [str(python), *sys.argv])


def main():
    """Label standard input's rows onto standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", choices=SYSTEMS, required=True)
    system = parser.parse_args().system
    enter_venv(system)
    rows = [json.loads(line) for line in sys.stdin if line.strip()]
    for row in label_rows(system, rows):
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()

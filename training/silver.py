"""Silver labels: what the rule systems agree on, in unlabelled clinical sentences.

    python training/silver.py --data DIR --output silver.jsonl

Entity mentions are found with ``lexicon.txt``. A mention is ABSENT where
negspacy, medspaCy and nlplite all say negated, PRESENT where none says negated
or hedged, POSSIBLE where none says negated and nlplite or medspaCy says hedged
(negspacy knows no hedges). Family history, hypothetical mentions and the
sentences where such rules are known to fail together are left out. Every row
has the sentence before and after it, if any, as ``before`` and ``after``, so
that training can show the model a sentence among others.
"""

import argparse
import json
import os
import random
import re
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

from rules import run_system
from silver_cues import (
    HEDGE,
    HEDGE_ENDS,
    HEDGED_AFTER,
    MODIFIER,
    NAME_AFTER,
    NEGATION,
    NEGATION_ENDS,
    NOT_MEANT,
    OUT_OF_REACH,
    OVER,
    STILL_THERE,
)

SYSTEMS = ("negspacy", "medspacy", "nlplite")
LABELS = ("PRESENT", "ABSENT", "POSSIBLE")
MAX_CHARS = 600  # longer "sentences" are lists and whole notes run together
WIDEN_SHARE = 0.5  # of the mentions with modifiers before them, those that take them

SKIPPED_SECTIONS = {"FAM/SOCHX", "ALLERGY"}

MAX_HEDGED_CHARS = 50  # from a hedge cue to the mention
MAX_NEGATED_CHARS = 60  # from a negation cue that all systems missed


# reading --------------------------------------------------------------------


def read_sentences(data_dir):
    """Return the sentences of ``unlabelled_*.jsonl``, neighbours attached."""
    sentences = []
    for path in sorted(Path(data_dir).glob("unlabelled_*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            sentences += with_neighbours([json.loads(line) for line in lines])
    return sentences


def with_neighbours(rows):
    """Add ``before`` and ``after``, the next sentences of the same section."""

    def place(row):
        return row["source"], row["doc"], row.get("section"), "cue" in row

    for left, right in zip(rows, rows[1:]):
        if place(left) == place(right) and "cue" not in left:
            left["after"] = right["text"]
            right["before"] = left["text"]
    return rows


def usable(row):
    """Say whether the sentence is about the patient, as a fact or a hedge."""
    if row.get("section") in SKIPPED_SECTIONS or len(row["text"]) > MAX_CHARS:
        return False
    return not OUT_OF_REACH.search(row["text"])


# mentions -------------------------------------------------------------------


def plural(term):
    """Return the regular plural of *term*'s last word.

    >>> plural("biopsy"), plural("abscess"), plural("fever")
    ('biopsies', 'abscesses', 'fevers')
    """
    if re.search(r"[^aeiou]y$", term):
        return term[:-1] + "ies"
    if re.search(r"sis$", term):
        return term[:-2] + "es"
    return term + ("es" if re.search(r"(s|x|ch|sh)$", term) else "s")


def lexicon_pattern(path):
    """Compile the lexicon, longest term first.

    Capitals match capitals only ("SOB"); all other terms match in any case.
    """
    terms = path.read_text(encoding="utf-8").split("\n")
    forms = {form for term in terms if term for form in (term, plural(term))}
    forms = sorted(forms, key=lambda form: (-len(form), form))
    parts = [_part(form) for form in forms]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])")


def _part(form):
    pattern = re.escape(form).replace(r"\ ", r"\s+").replace("'", "['’]?")
    capitals = form.rstrip("s").isupper()
    return pattern if capitals else f"(?i:{pattern})"


def find_mentions(sentences, pattern, seed):
    """Yield one row a mention; the same words are taken once."""
    seen = set()
    for row in sentences:
        for match in pattern.finditer(row["text"]):
            if NAME_AFTER.match(row["text"], match.end()):
                continue
            start = widened(row["text"], match.start(), seed)
            key = row["text"].lower(), start
            if key not in seen:
                seen.add(key)
                yield mention_row(row, start, match.end())


def widened(text, start, seed):
    """Move *start* left over modifiers, for a seeded share of the mentions.

    >>> text = "has acute left knee pain"
    >>> {text[widened(text, 20, seed):] for seed in range(9)} == {
    ...     "pain", "acute left knee pain"}
    True
    """
    if random.Random(f"{seed}:{start}:{text}").random() >= WIDEN_SHARE:
        return start
    while modifier := MODIFIER.search(text[:start]):
        start = modifier.start()
    return start


def mention_row(row, start, end):
    """Return the training row of a mention, still without its label."""
    kept = ("text", "source", "doc", "before", "after")
    return {"start": start, "end": end} | {k: row[k] for k in kept if k in row}


# labels ---------------------------------------------------------------------


def run_systems(rows):
    """Return the verdicts of each system: ``{system: [labelled row]}``."""
    slim = [{key: row[key] for key in ("text", "start", "end")} for row in rows]
    return {system: run_system(system, slim) for system in SYSTEMS}


def silver_label(verdicts, flags):
    """Return the label that *verdicts* (``{system: label}``) agree on, or None.

    *flags* are ConText's: a mention of the family or a hypothesis has none.
    """
    if {"family", "hypothetical"} & set(flags):
        return None
    labels = list(verdicts.values())
    if labels.count("ABSENT") == len(labels):
        return "ABSENT"
    if "ABSENT" in labels:
        return None
    return "POSSIBLE" if "POSSIBLE" in labels else "PRESENT"


def after_last(cue, before):
    """Return what stands between the last *cue* and the mention, or None."""
    matches = list(cue.finditer(before))
    return before[matches[-1].end() :] if matches else None


def hedged(before, after):
    """Say whether a hedge cue stands close to the mention, and is for it.

    >>> hedged("infiltrate suspicious for ", "."), hedged("likely due to her ", ".")
    (True, False)
    """
    if HEDGED_AFTER.match(after):
        return True
    between = after_last(HEDGE, before)
    if between is None or len(between) > MAX_HEDGED_CHARS:
        return False
    return not HEDGE_ENDS.search(between)


def negated(before, after):
    """Say whether a negation cue stands before the mention, and is for it.

    >>> negated("no fever, ", ""), negated("no change in ", ""), negated("no ", " is")
    (True, False, False)
    """
    between = after_last(NEGATION, before)
    if between is None or NEGATION_ENDS.search(between):
        return False
    return not STILL_THERE.match(after)


def credible(label, row):
    """Say whether *label* is none of the known mistakes of the rule systems."""
    before, after = row["text"][: row["start"]], row["text"][row["end"] :]
    if NOT_MEANT.search(before):
        return False
    if label == "ABSENT":  # by a cue before it, or else by one after it
        return negated(before, after) or not NEGATION.search(before)
    if OVER.search(row["text"]) or negated(before[-MAX_NEGATED_CHARS:], after):
        return False
    return hedged(before, after) == (label == "POSSIBLE")


def label_mentions(rows, verdicts):
    """Return the rows that get a label, in order."""
    labelled = []
    for index, row in enumerate(rows):
        said = {system: verdicts[system][index]["rule_label"] for system in SYSTEMS}
        label = silver_label(said, verdicts["medspacy"][index]["rule_flags"])
        if label and credible(label, row):
            labelled.append(row | {"label": label})
    return labelled


def capped(rows, cap, seed):
    """Keep at most *cap* rows of the same words and label, drawn by *seed*."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    kept, counts = [], Counter()
    for index in order:
        row = rows[index]
        key = row["label"], row["text"][row["start"] : row["end"]].lower()
        counts[key] += 1
        if counts[key] <= cap:
            kept.append(index)
    return [rows[index] for index in sorted(kept)]


# report ---------------------------------------------------------------------


def agreement(verdicts):
    """Yield ``(systems, share)``: how often they agree on negated or not."""
    negated = {
        system: [row["rule_label"] == "ABSENT" for row in rows]
        for system, rows in verdicts.items()
    }
    for systems in (*combinations(SYSTEMS, 2), SYSTEMS):
        votes = list(zip(*(negated[system] for system in systems)))
        yield systems, sum(len(set(vote)) == 1 for vote in votes) / max(1, len(votes))


def print_report(found, labelled, verdicts):
    """Print agreement rates and the counts by source and label."""
    print(f"{len(found)} mentions, {len(labelled)} labelled\n")
    for systems, share in agreement(verdicts):
        print(f"{' = '.join(systems):<32} {share:.3f}  (negated or not)")
    counts = Counter((row["source"], row["label"]) for row in labelled)
    counts.update(("all", row["label"]) for row in labelled)
    print(f"\n{'source':<32}" + "".join(f"{label:>10}" for label in LABELS))
    for source in sorted({source for source, _ in counts} - {"all"}) + ["all"]:
        cells = "".join(f"{counts[source, label]:>10}" for label in LABELS)
        print(f"{source:<32}{cells}")


def write_rows(path, rows):
    """Write *rows* as JSON lines."""
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def parse_args():
    """Read the command line; the data directory may come from DATA_DIR."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("DATA_DIR"))
    parser.add_argument("--lexicon", type=Path, default=here / "lexicon.txt")
    parser.add_argument("--output", required=True)
    parser.add_argument("--cap", type=int, default=150, help="rows a term and label")
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    if not args.data:
        parser.error("name the data directory: --data DIR or DATA_DIR")
    return args


def main():
    """Find mentions, ask the rule systems, write where they agree."""
    args, started = parse_args(), time.monotonic()
    sentences = [row for row in read_sentences(args.data) if usable(row)]
    pattern = lexicon_pattern(args.lexicon)
    found = list(find_mentions(sentences, pattern, args.seed))
    verdicts = run_systems(found)
    labelled = capped(label_mentions(found, verdicts), args.cap, args.seed)
    write_rows(args.output, labelled)
    print_report(found, labelled, verdicts)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()

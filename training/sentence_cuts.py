"""Compare our sentences with the paper's: ``python training/sentence_cuts.py FILE``.

Van Aken et al. 2021 end a sentence at every ``.``, ``!``, ``?`` and blank line. The
same model (MODEL and PRECISION of the environment) reads both contexts of every
entity of a labelled file; printed are the rows that are right as negated or not.
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.commands.evaluate import TWO_CLASSES  # noqa: E402
from negation_api.model.classifier import load_classifier  # noqa: E402
from negation_api.settings import Settings  # noqa: E402
from negation_api.text.markers import MARKER  # noqa: E402
from negation_api.text.sentences import SegmentedText  # noqa: E402
from negation_api.text.spans import Span  # noqa: E402

END = re.compile(r"[.!?]|\n\s*\n")


def papers(text: str, start: int, end: int) -> str:
    """Mark the entity in the sentence that the paper would cut."""
    first = max((found.end() for found in END.finditer(text, 0, start)), default=0)
    last = END.search(text, end)
    after = text[end : last.end() if last else len(text)]
    marked = f"{text[first:start]}{MARKER} {text[start:end]} {MARKER}{after}"
    return " ".join(marked.split())


def main(path: str) -> None:
    """Print the shares."""
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    gold = [TWO_CLASSES.get(row["label"], row["label"]) == "ABSENT" for row in rows]
    classifier = load_classifier(Settings.from_env())

    def negated(sentence: str) -> bool:
        row = classifier.encode(sentence)
        return classifier.classify([row])[0].label == "ABSENT"

    spans = [(row["text"], row["start"], row["end"]) for row in rows]
    cuts = {
        "ours": [SegmentedText(text).mark(Span(*span)) for text, *span in spans],
        "the paper's": [papers(*span) for span in spans],
    }
    differ = sum(a != b for a, b in zip(*cuts.values()))
    print(f"{len(rows)} entities, {differ} contexts differ")
    for name, sentences in cuts.items():
        right = sum(negated(s) == g for s, g in zip(sentences, gold))
        print(f"{name}: {right} right, {right / len(rows):.3f}")


if __name__ == "__main__":
    main(sys.argv[1])

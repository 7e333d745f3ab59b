"""What finding 100,000 terms takes, beside the same entities given by offset.

    python bench/terms.py [MODEL]

Scores ``NUM_NOTES`` notes in this process, as the file command's workers do, with the
model of the package unless another is named: once with a list of terms and once with
the offsets that were found, in turns. Prints how long the list took to be made, and
entities a second of both, the medians of ``ROUNDS``.
"""

import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.model.classifier import load_classifier  # noqa: E402
from negation_api.scoring import Answered, Scorer  # noqa: E402
from negation_api.settings import Settings  # noqa: E402
from negation_api.text.terms import Finder, Term  # noqa: E402

NUM_TERMS, NUM_NOTES, ROUNDS = 100_000, 1000, 3
SYLLABLES = (
    "ar bel cor dia en fib gas hem itis lym my neu oma pul ren sep tri ur".split()
)
AROUND = "The patient denies|No|History of|Presents with|Possible|Now has".split("|")


def make(rng: random.Random) -> tuple[list[str], list[str]]:
    """Make terms of one to three words, and notes of two such in 60 words."""

    def word() -> str:
        return "".join(rng.choices(SYLLABLES, k=rng.randint(3, 5)))

    terms = sorted(
        {" ".join(word() for _ in range(rng.randint(1, 3))) for _ in range(NUM_TERMS)}
    )
    notes = []
    for _ in range(NUM_NOTES):
        said = [f"{rng.choice(AROUND)} {rng.choice(terms)}." for _ in range(2)]
        filler = " ".join(
            rng.choices("the a was seen today and then in clinic".split(), k=50)
        )
        notes.append(" ".join([said[0], filler + ".", said[1]]))
    return terms, notes


def main() -> None:
    """Print the rates."""
    settings = Settings.from_env({"MODEL": sys.argv[1] if sys.argv[1:] else "embedded"})
    classifier = load_classifier(settings)
    terms, notes = make(random.Random(13))  # nosec B311
    started = time.perf_counter()
    finder = Finder([Term(term, term) for term in terms])
    print(f"{len(terms):,} terms, made in {time.perf_counter() - started:.1f} s")
    found = [finder.find(note) for note in notes]
    by_offset = [
        {
            "text": note,
            "entities": [{"start": m.span.start, "end": m.span.end} for m in each],
        }
        for note, each in zip(notes, found)
    ]
    ways = {
        "by terms": (
            Scorer(classifier, settings, finder),
            [{"text": n} for n in notes],
        ),
        "by offset": (Scorer(classifier, settings), by_offset),
    }
    rates = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (scorer, rows) in ways.items():
            started = time.perf_counter()
            answers = [a for a in scorer.score(rows) if isinstance(a, Answered)]
            number = sum(len(answer.predictions) for answer in answers)
            rates[name].append(number / (time.perf_counter() - started))
    for name, each in rates.items():
        print(f"{name:<10}{statistics.median(each):8.1f} entities/s")
    ratio = statistics.median(
        a / b for a, b in zip(rates["by terms"], rates["by offset"])
    )
    print(f"ratio     {ratio:8.2f}, of {number} entities")


if __name__ == "__main__":
    main()

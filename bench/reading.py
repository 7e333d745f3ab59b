"""What reading the longest texts takes: ``python bench/reading.py``, half a minute.

Of 1 MiB, or as much of it as a request may hold, and without the model.
"""

import json
import string
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.text.sentences import (  # noqa: E402
    MAX_ENDS,
    SegmentedText,
    count_ends,
)

NUM_BYTES = 1024 * 1024
RUN_CHARS = 100 * 1024  # what takes time with its square is seen with fewer
# What is repeated, and what stands above it.
FORMS = {
    "prose": ("The patient denies fever and chills, and there is no edema. ", ""),
    "prose without a stop": ("the patient has no fever, no cough and no pain but ", ""),
    "abbreviations": ("No sig. edema. ", ""),
    "short lines": ("Fever\n", ""),
    "lines in small letters": ("fever\n", ""),
    "list": ("- Hypertension\n", ""),
    "list below its cue": ("- fever\n", "Denies:\n"),
    "lists of lists": ("1. Denies:\n  a. fever\n", ""),
    "sections": ("HPI:\nno fever\n\n", ""),
    "questions": ("Any fever?\nNo\n", ""),
    "replies": ("Do you have gout?\nHe does not\n", ""),
    "rows": ("Asthma: N  Stroke: Y\n", ""),
    "rows without signs": ("Asthma NO COPD YES\n", ""),
    "rows of signs": ("Abd: +pain, -rebound\n", ""),
    "rows in a line": ("Asthma: N; stroke: Y; ", ""),
    "answers in a line": ("Y N  ", ""),
    "headings in a line": ("HPI: no fever  ", ""),
    "questions in a line": ("Does he snore? No. ", ""),
    "numbers in a line": ("ROS: 1) fever 2) cough 3) no rash ", ""),
    "cells": ("Asthma\tN\n", ""),
    "boxes": ("[ ] Fever [x] Cough\n", ""),
    "boxes of choices": ("Fever [ ] Yes [x] No\n", ""),
    "table": ("Fever      x\n", "Symptom   Yes   No\n"),
    "answers below questions": ("Fever   Cough\nN       Y\n\n", ""),
    "findings in columns": ("fever       chills\n", "Positive    Denies\n"),
}


def longest(row: str, head: str) -> str:
    """Give *row* below *head* as often as a request may hold it."""
    num_bytes = len(json.dumps(row, ensure_ascii=False).encode()) - len('""')
    return allowed(head + row * (NUM_BYTES // num_bytes))


def allowed(text: str) -> str:
    """Give as much of *text* as a request may hold."""
    return text[: len(text) * MAX_ENDS // max(MAX_ENDS, count_ends(text))]


def seconds(text: str) -> float:
    """Give the CPU seconds that reading *text* takes."""
    started = time.process_time()
    SegmentedText(text)
    return time.process_time() - started


def main() -> None:
    """Print a line for each form, and one for the slowest run of a character."""
    print("KiB    lines    CPU seconds")
    for name, form in FORMS.items():
        text = longest(*form)
        size, lines = len(text) // 1024, text.count("\n")
        print(f"{size:4}  {lines:7}  {seconds(text):13.2f}  {name}", flush=True)
    runs = {}
    for character in f"{string.punctuation} \t\u2014\u2022\u2610\u2713aO0":
        for around in "Has he? {}no", "gout{}no", "{}: gout":
            text = allowed(around.format(character * RUN_CHARS))
            runs[seconds(text), ascii(character)] = around
    (most, character), around = max(runs.items())
    print(f"{'':13}  {most:13.2f}  the slowest run, of {character} in {around!r}")


if __name__ == "__main__":
    main()

"""Mosec's part of ``peers.py``: its workers import the class by name."""

import os

import mosec
from peers import Classifier


class Worker(mosec.Worker):
    """Answers ``{"sentence": ...}`` with label and score."""

    def __init__(self):
        super().__init__()
        self.classify = Classifier(
            os.environ["BENCH_MODEL"], os.environ["BENCH_PRECISION"]
        )

    def forward(self, data):
        """Classify a batch."""
        return self.classify([query["sentence"] for query in data])

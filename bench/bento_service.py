"""BentoML's part of ``peers.py``: its workers import the class by name."""

import os

import bentoml
from peers import CORES, MAX_BATCH, Classifier


@bentoml.service(workers=CORES, traffic={"timeout": 60})
class Service:
    """Answers ``{"sentence": [...]}``, as its batches come in lists."""

    def __init__(self):
        self.classify = Classifier(
            os.environ["BENCH_MODEL"], os.environ["BENCH_PRECISION"]
        )

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, route="/predict")
    def predict(self, sentence: list[str]) -> list[dict]:
        """Classify a batch."""
        return self.classify(sentence)

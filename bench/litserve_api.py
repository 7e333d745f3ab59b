"""LitServe's part of ``peers.py``: its workers import the class by name."""

import litserve
from peers import Classifier


class API(litserve.LitAPI):
    """Answers ``{"sentence": ...}`` with label and score."""

    def __init__(self, model: str, precision: str, max_batch: int, max_wait: float):
        super().__init__(max_batch_size=max_batch, batch_timeout=max_wait)
        self._model, self._precision = model, precision

    def setup(self, device):
        """Load the model, in the worker."""
        self.classify = Classifier(self._model, self._precision)

    def decode_request(self, request):
        """Give the sentence."""
        return request["sentence"]

    def batch(self, inputs):
        """Give a list: the tokenizer pads."""
        return list(inputs)

    def predict(self, x):
        """Classify a batch."""
        return self.classify(x)

    def unbatch(self, output):
        """Give one prediction for each request."""
        return output

    def encode_response(self, output):
        """Give what is sent as JSON."""
        return output

"""The application with a classifier that goes wrong at certain words.

``gunicorn --pythonpath tests faulty:app``, with a toy model.
"""

import sys
import time

from negation_api import create_app
from negation_api.model.classifier import load_classifier
from negation_api.settings import Settings

SLOW_SECONDS = 0.2


def _raise():
    raise RuntimeError("zebrafish")  # stands for text in an exception's message


FAULTS = {
    "chills": _raise,
    "cough": sys.exit,  # ends the thread that calls it
    "nausea": lambda: time.sleep(3600),
    "history": lambda: time.sleep(SLOW_SECONDS),
}


class FaultyClassifier:
    """Hands on to *classifier* what holds no word of ``FAULTS``."""

    def __init__(self, classifier):
        self._classifier = classifier
        self._faults = {classifier.encode(w)[1]: fault for w, fault in FAULTS.items()}

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def classify(self, rows):
        for token in {token for row in rows for token in row} & self._faults.keys():
            self._faults[token]()
        return self._classifier.classify(rows)


settings = Settings.from_env()
app = create_app(settings, FaultyClassifier(load_classifier(settings)))

"""The application with a model that takes its time, and leaves the CPU to others.

``gunicorn --pythonpath tests slow:app``, with a toy model.
"""

import time

from negation_api import create_app
from negation_api.model.classifier import load_classifier
from negation_api.settings import Settings

BATCH_SECONDS = 0.2


class SlowClassifier:
    """Hands on to *classifier*, after a while."""

    def __init__(self, classifier):
        self._classifier = classifier

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def classify(self, rows):
        time.sleep(BATCH_SECONDS)
        return self._classifier.classify(rows)


settings = Settings.from_env()
app = create_app(settings, SlowClassifier(load_classifier(settings)))

"""The application with a classifier of a few lines, which starts in a second.

``gunicorn --pythonpath tests light:app``, for what has nothing to do with the model.
"""

import os
import time

from conftest import KeywordClassifier

from negation_api import create_app
from negation_api.settings import Settings


class LightClassifier(KeywordClassifier):
    """Needs nothing in a worker; a batch may take its time."""

    seconds = float(os.environ.get("LIGHT_BATCH_SECONDS", 0))

    def after_fork(self):
        pass

    def classify(self, rows):
        time.sleep(self.seconds)
        return super().classify(rows)


app = create_app(Settings.from_env(), LightClassifier())

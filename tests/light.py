"""The application with a classifier of a few lines, which starts in a second.

``gunicorn --pythonpath tests light:app``, for what has nothing to do with the model.
"""

from conftest import KeywordClassifier

from negation_api import create_app
from negation_api.settings import Settings


class LightClassifier(KeywordClassifier):
    """Needs nothing in a worker."""

    def after_fork(self):
        pass


app = create_app(Settings.from_env(), LightClassifier())

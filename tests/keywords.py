"""The application with a classifier of a few lines that answers all questions.

``gunicorn --pythonpath tests keywords:app``.
"""

from conftest import KeywordClassifier

from negation_api import create_app
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.settings import Settings

WORDS = {
    "ABSENT": {"denies", "no"},
    "POSSIBLE": {"possible"},
    "FAMILY": {"family", "mother"},
    "HISTORICAL": {"past", "status", "mother"},
    "HYPOTHETICAL": {"if", "should"},
}


class WordsClassifier(KeywordClassifier):
    """Answers by the words of the sentence and its heading."""

    headed, axes = True, AXES

    def after_fork(self):
        pass

    def classify(self, rows):
        sentences = [set(self._sentence(row).strip(":.").split()) for row in rows]
        return [self._answer(words) for words in sentences]

    def _answer(self, words):
        axes = {axis: Choice(_scores(words, AXES[axis])) for axis in self.axes}
        return Prediction(_scores(words, LABELS), **axes)


def _scores(words, values):
    """Be the surer, the more words speak for it."""
    counts = {value: len(words & WORDS.get(value, set())) for value in values}
    best = max(values, key=counts.__getitem__)
    rest = 0.02 / max(counts[best], 1)
    return {value: 1 - 2 * rest if value == best else rest for value in values}


app = create_app(Settings.from_env(), WordsClassifier())

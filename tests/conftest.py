"""What the fast tests share: an application with a classifier of a few lines."""

import shutil
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

import pytest

from negation_api import create_app
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.http.service import service_of
from negation_api.model.artefact import Artefact
from negation_api.settings import Settings
from negation_api.text.markers import EntityTooLong, SentenceTooLong

# Run by another Python, see there.
collect_ignore = [] if find_spec("spacy") else ["test_spacy.py"]


class KeywordClassifier:
    """Stands in for BERT: ABSENT after "denies", PRESENT otherwise.

    Its tokens are words; a row is their places in a vocabulary that grows.
    """

    labels = LABELS
    precision = "fp32"
    artefact = Artefact("keyword", None, "0" * 64)
    max_tokens = 512
    batch_tokens = 256
    headed, beside, axes = False, None, {}

    def __init__(self):
        self.vocabulary: list[str] = []
        self.batches: list[list[list[int]]] = []

    @property
    def sentences(self) -> list[str]:
        """Every sentence that was classified, as the model saw it."""
        rows = [row for batch in self.batches for row in batch]
        return [self._sentence(row) for row in rows]

    def _sentence(self, row) -> str:
        return " ".join(self.vocabulary[i] for i in row)

    def encode(self, sentence, marked=True, ours=False):
        words = sentence.lower().split()
        if len(words) > self.max_tokens:
            kind = EntityTooLong if marked else SentenceTooLong
            raise kind(f"{len(words)} tokens; at most {self.max_tokens} fit.")
        self.vocabulary += [w for w in words if w not in self.vocabulary]
        return tuple(self.vocabulary.index(word) for word in words)

    def classify(self, rows):
        self.batches.append(rows)
        befores = [self._sentence(row).partition("[entity]")[0] for row in rows]
        return [self._predict(before) for before in befores]

    def _predict(self, before):
        absent = 0.75 if "denies" in before else 0.25
        return Prediction({"PRESENT": 1 - absent, "ABSENT": absent, "POSSIBLE": 0.0})


class AxesClassifier(KeywordClassifier):
    """Answers whose and when too: by "mother", "history" and "return" before."""

    headed, axes = True, AXES

    def _predict(self, before):
        family = 0.75 if "mother" in before else 0.25
        kinds = AXES["temporality"]
        when = ("history" in before) + 2 * ("return" in before)
        return replace(
            super()._predict(before),
            experiencer=Choice({"PATIENT": 1 - family, "FAMILY": family, "OTHER": 0.0}),
            temporality=Choice(
                {kind: 0.75 if n == when else 0.125 for n, kind in enumerate(kinds)}
            ),
        )


@pytest.fixture
def settings():
    return Settings(inference_threads=1)


@pytest.fixture
def classifier():
    return KeywordClassifier()


@contextmanager
def running(settings, classifier):
    """Give the application, its inference threads started."""
    app = create_app(settings, classifier)
    service_of(app).batcher.start()
    yield app
    service_of(app).batcher.stop()


@pytest.fixture
def app(settings, classifier):
    with running(settings, classifier) as app:
        yield app


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def axes_client(settings):
    """A client of a service that answers whose and when too."""
    with running(settings, AxesClassifier()) as app:
        yield app.test_client()


@pytest.fixture(scope="session")
def labels_model(tmp_path_factory):
    """Directory of a BERT of two layers with random weights, which knows no axes."""
    from toy import write_bert

    return write_bert(tmp_path_factory.mktemp("labels") / "toy")


@pytest.fixture(scope="session")
def toy_model(labels_model, tmp_path_factory):
    """The same, with last layers for whose and when."""
    from toy import add_axes

    place = tmp_path_factory.mktemp("model") / "toy"
    return add_axes(shutil.copytree(labels_model, place))

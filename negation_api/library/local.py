"""A model in this process, computed as the service computes it."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from os import PathLike
from weakref import WeakMethod

from negation_api.contract.errors import Invalid
from negation_api.contract.labels import Prediction
from negation_api.contract.listed import finder_of_list, load_list
from negation_api.contract.reply import dump_model
from negation_api.contract.request import load_query
from negation_api.layout import available_cpus
from negation_api.library.predictor import WINDOW_ENTITIES, Predictor, to_json
from negation_api.model.artefact import ModelError
from negation_api.scoring import Row, asked, classify_rows, dump, encode
from negation_api.settings import Settings
from negation_api.text.terms import Finder

# What a service must bound, and a caller of a function need not.
NO_LIMIT = dict.fromkeys(
    ("max_entities", "max_documents", "max_request_tokens", "max_terms"), sys.maxsize
)


def load(
    model: str | PathLike = "embedded",
    *,
    precision: str = "fp32",
    axes: bool = True,
    early_exit: bool = True,
    cpus: int = 0,
    revision: str = Settings.model_revision,
    models_dir: str | PathLike = Settings.models_dir,
) -> "Model":
    """Load a model; each call loads one. Nothing is read from the environment.

    It keeps torch to one thread for an operation, in all of the process, since batches
    computed at once bring more; what else computes with torch there may set
    ``torch.set_num_threads`` anew between calls.

    :param model: ``embedded``, a directory that ``save_pretrained`` wrote, or a hub id
        that ``negation-api model fetch`` brought into *models_dir*.
    :param precision: ``fp32``, or ``int8`` for quantized linear layers.
    :param axes: whether whose and when are answered too.
    :param early_exit: whether rows that are settled after an inner layer leave there.
    :param cpus: how many batches are computed at once; 0 is the CPUs there are.
    :raises ModelError: in one line, when there is nothing sound to load.
    :raises SettingError: a ValueError, for an argument that cannot be used.
    """
    given = {
        "MODEL": os.fspath(model),
        "MODEL_REVISION": revision,
        "MODELS_DIR": os.fspath(models_dir),
        "PRECISION": precision,
        "AXES": "on" if axes else "off",
        "EARLY_EXIT": "on" if early_exit else "off",
        "CPUS": str(cpus),
    }
    return _load(replace(Settings.from_env(given), **NO_LIMIT))


def _load(settings: Settings) -> "Model":
    # Imported late because it brings torch.
    from negation_api.model.classifier import make_classifier

    classifier = make_classifier(settings)
    ready = partial(_call, WeakMethod(classifier.after_fork))
    os.register_at_fork(after_in_child=ready)
    return Model(classifier, settings)


def _call(method: WeakMethod) -> None:
    """Call *method* unless its object is gone: nothing forgets a hook of forks."""
    bound = method()
    if bound:
        bound()


class Model(Predictor):
    """Answers spans of texts in this process; :func:`load` makes one.

    Any number of threads may use it at once. A process forked while no thread
    predicts may use it too, and shares its memory. Pickled, it is loaded anew from
    where it was loaded.
    """

    failures = Invalid, ModelError

    def __init__(self, classifier, settings: Settings):
        self._classifier = classifier
        self._settings = settings
        self._threads = available_cpus(settings)
        self.window_entities = WINDOW_ENTITIES * self._threads

    def __reduce__(self):
        return _load, (self._settings,)

    def describe(self) -> dict:
        """Say which model answers: the ``model`` of a reply, with name and hash."""
        return dump_model(self._classifier)

    def _sought(self, terms: list | str | None) -> Finder | None:
        if terms is None:
            return None
        return finder_of_list(load_list(terms, self._settings))

    def _ask(self, body: dict, sought: Finder | None = None) -> dict:
        to_json(body)  # or a schema would take bytes for text
        query = load_query(body, self._settings, sought)
        limit = NO_LIMIT["max_request_tokens"]
        rows = encode(query, self._classifier, limit, lambda stage: None)
        predictions = asked(query, self._classify(list(chain(*rows))))
        return dump(query, rows, predictions, self._classifier, self._classify, limit)

    def _classify(self, rows: Sequence[Row]) -> list[Prediction]:
        max_tokens = self._settings.batch_tokens or self._classifier.batch_tokens
        classify = self._classifier.classify
        results = list(classify_rows(classify, rows, max_tokens, self._map))
        for result in results:
            if isinstance(result, Exception):
                # Without its message, which may hold anything.
                raise ModelError(f"the model failed ({type(result).__name__})")
        return results

    def _map(self, function: Callable, batches: Sequence) -> Iterable:
        """As map() does, on all CPUs; threads of a call, as none outlives a fork."""
        threads = min(self._threads, len(batches))
        if threads < 2:
            return map(function, batches)
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, batches))

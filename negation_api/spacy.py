"""The spaCy component ``negation_api``: answers the entities and spans of a Doc. ::

    nlp.add_pipe("negation_api", last=True)
    nlp.add_pipe("negation_api", config={"url": "http://localhost:8000"}, last=True)

Attributes have the names that medspaCy's and negspacy's users read; ``docs/spacy.md``.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import List, Optional  # as spaCy reads the types of a config

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span
from spacy.util import raise_error

import negation_api
from negation_api.contract.labels import Prediction
from negation_api.library.predictor import Predictor

# attribute of a span -> its value before there is an answer
EXTENSIONS = {
    "assertion": None,
    "assertion_score": None,
    "experiencer": None,
    "temporality": None,
    "holds": None,
    "is_negated": False,
    "is_uncertain": False,
    "is_historical": False,
    "is_hypothetical": False,
    "is_family": False,
    "negex": False,
}


def set_extensions() -> None:
    """Register the attributes that are not there yet, as another component's may be.

    A component does so when it is made; for Docs that are read without one.

    :raises ValueError: when one is there that cannot be set.
    """
    for name, default in EXTENSIONS.items():
        if not Span.has_extension(name):
            Span.set_extension(name, default=default)
            continue
        _, method, getter, setter = Span.get_extension(name)
        if method or (getter and not setter):
            raise ValueError(f"Span._.{name} is there already and cannot be set")


@Language.factory("negation_api", assigns=[f"span._.{name}" for name in EXTENSIONS])
class NegationAPI(Pipe):
    """Sets the assertion status, and whose and when, of what a recogniser found.

    :param ents: whether for ``doc.ents``.
    :param groups: for which of ``doc.spans``; one that a Doc does not have is none.
    :param url: of a service; without it a model is loaded in this process.
    :param timeout: of the service, in seconds.
    :param api_key_variable: the environment variable that holds its key, if it wants
        one. Not the key, as a config is written to disk.
    :param model, precision, axes, cpus: of the model, as of ``negation_api.load``.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        ents: bool = True,
        groups: List[str] = [],
        url: Optional[str] = None,
        timeout: float = 120.0,
        api_key_variable: str = "NEGATION_API_KEY",
        model: str = "embedded",
        precision: str = "fp32",
        axes: bool = True,
        cpus: int = 0,
    ):
        set_extensions()
        self.name = name
        self.ents = ents
        self.groups = list(groups)
        self.axes = axes
        self.predictor: Predictor
        if url:
            key = os.environ.get(api_key_variable)
            self.predictor = negation_api.Client(url, key, timeout)
        else:
            self.predictor = negation_api.load(
                model, precision=precision, axes=axes, cpus=cpus
            )

    def __call__(self, doc: Doc) -> Doc:
        """Answer the spans of *doc*.

        :raises ValueError: for a span that cannot be answered, with its place.
        """
        return next(self._answer([doc], raise_error))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Answer the spans of many Docs, together; *batch_size* changes nothing."""
        return self._answer(stream, self.get_error_handler())

    def _answer(self, stream: Iterable[Doc], handle: Callable) -> Iterator[Doc]:
        waiting: deque[tuple[Doc, list[tuple[str, Span]]]] = deque()

        def documents():
            for doc in stream:
                found = self._spans(doc)
                waiting.append((doc, found))
                places = [(span.start_char, span.end_char) for _, span in found]
                # Asked of nothing too: what waits for answers is bounded by them.
                yield (doc.text if found else ""), places

        answered = self.predictor.predict_many(
            documents(), axes=self.axes, return_exceptions=True
        )
        for answers in answered:
            doc, found = waiting.popleft()
            if not found:
                yield doc
                continue
            if isinstance(answers, Exception):
                error = _located(answers, [name for name, _ in found])
                handle(self.name, self, [doc], error)
                continue
            for (_, span), answer in zip(found, answers, strict=True):
                _set(span, answer)
            yield doc

    def _spans(self, doc: Doc) -> list[tuple[str, Span]]:
        """Give each span that is to be answered, with what it is called in *doc*."""
        lists = {"doc.ents": doc.ents} if self.ents else {}
        for name in self.groups:
            lists[f"doc.spans[{name!r}]"] = doc.spans.get(name, ())
        return [
            (f"{name}[{index}]", span)
            for name, spans in lists.items()
            for index, span in enumerate(spans)
        ]


def _located(error: Exception, names: Sequence[str]) -> Exception:
    """Say which span *error* is about, where it is about one."""
    if not isinstance(error, negation_api.Invalid):
        return error
    said = []
    for path, detail in error.faults:
        at = path.index("entities") + 1 if "entities" in path else len(path)
        name = names[path[at]] if at < len(path) else "doc"
        said.append(f"{name}: {detail}")
    return ValueError("; ".join(said))


def _set(span: Span, answer: Prediction) -> None:
    """Set the attributes of *span*; without axes those of whose and when stay."""
    values = {
        "assertion": answer.label,
        "assertion_score": answer.score,
        "is_negated": answer.label == "ABSENT",
        "is_uncertain": answer.label == "POSSIBLE",
        "negex": answer.label == "ABSENT",
    }
    whose, when = answer.experiencer, answer.temporality
    if whose and when:
        values |= {
            "experiencer": whose.label,
            "temporality": when.label,
            "holds": answer.holds,
            "is_family": whose.label == "FAMILY",
            "is_historical": when.label == "HISTORICAL",
            "is_hypothetical": when.label == "HYPOTHETICAL",
        }
    for name, value in values.items():
        span._.set(name, value)

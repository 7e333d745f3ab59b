"""A second model that answers the axes beside one that knows labels only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from negation_api.contract.labels import Prediction

# The embedded model computes a token in about an eighth of BERT-base's time.
TOKENS_PER_TOKEN = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """The rows of one entity, one for each of the two models.

    Either is None where it is not asked for.
    """

    label: tuple[int, ...] | None
    axes: tuple[int, ...] | None = None

    def __len__(self) -> int:
        """Count tokens as the first model takes time for them."""
        beside = -(-len(self.axes or ()) // TOKENS_PER_TOKEN)
        return len(self.label or ()) + beside


class Beside:
    """Two classifiers as one: the label is *first*'s, the axes are *beside*'s."""

    headed = False

    def __init__(self, first, beside):
        self._first = first
        self.beside = beside
        self.artefact = first.artefact
        self.precision = first.precision
        self.labels = first.labels
        self.axes = beside.axes
        self.batch_tokens = first.batch_tokens

    def after_fork(self) -> None:
        """Make torch ready in a forked process, before threads use it."""
        self._first.after_fork()

    def encode(
        self,
        sentence: str,
        headed: str | None = None,
        marked: bool = True,
        ours: bool = False,
    ) -> Pair:
        """Give the rows of *sentence*, and of the same with its section.

        :raises EntityTooLong, SentenceTooLong, MarkerError: as either does.
        """
        label = self._first.encode(sentence, marked, ours)
        if headed is None:
            return Pair(label)
        return Pair(label, self.beside.encode(headed, marked, ours))

    def encode_axes(self, headed: str, marked: bool = True, ours: bool = False) -> Pair:
        """Give a row of which the axes alone are asked; its label is then theirs."""
        return Pair(None, self.beside.encode(headed, marked, ours))

    def classify(self, rows: Sequence[Pair]) -> list[Prediction]:
        """Classify a batch of rows.

        :raises ModelError: when a network gives anything but numbers.
        """
        labels = _classify(self._first, [row.label for row in rows])
        axes = _classify(self.beside, [row.axes for row in rows])
        return [_join(labels[row.label], axes[row.axes]) for row in rows]


def _classify(classifier, rows) -> dict[tuple[int, ...] | None, Prediction | None]:
    """Give the prediction of each of *rows*, and None of None."""
    asked = list(dict.fromkeys(row for row in rows if row))
    predictions = classifier.classify(asked) if asked else []
    return {None: None} | dict(zip(asked, predictions, strict=True))


def _join(label: Prediction | None, axes: Prediction | None) -> Prediction:
    if label is None or axes is None:
        return label or axes
    return replace(label, experiencer=axes.experiencer, temporality=axes.temporality)

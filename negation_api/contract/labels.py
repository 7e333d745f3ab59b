"""The assertion status: three labels, and what a model says of one entity."""

from dataclasses import dataclass

LABELS = ("PRESENT", "ABSENT", "POSSIBLE")


@dataclass(frozen=True)
class Prediction:
    """The assertion status of one entity.

    :ivar scores: label -> probability in 0..1, every label of the model, sum 1.
    """

    scores: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable label."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def score(self) -> float:
        """The probability of :attr:`label`."""
        return self.scores[self.label]

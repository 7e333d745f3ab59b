"""What is answered of an entity: its assertion status, whose it is, and when.

The conventions are in ``training/GUIDELINES.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LABELS = ("PRESENT", "ABSENT", "POSSIBLE")
EXPERIENCERS = ("PATIENT", "FAMILY", "OTHER")
TEMPORALITIES = ("CURRENT", "HISTORICAL", "HYPOTHETICAL")

AXES = {"experiencer": EXPERIENCERS, "temporality": TEMPORALITIES}


@dataclass(frozen=True)
class Choice:
    """One of several values, each with its probability.

    :ivar scores: value -> probability in 0..1, every value, sum 1.
    """

    scores: Mapping[str, float]

    @property
    def label(self) -> str:
        """The most probable value."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def score(self) -> float:
        """The probability of :attr:`label`."""
        return self.scores[self.label]


@dataclass(frozen=True)
class Prediction(Choice):
    """The assertion status of one entity, and its axes if the model answers them.

    :ivar layers: after how many of the model's layers it was answered, if known.
    """

    experiencer: Choice | None = None
    temporality: Choice | None = None
    layers: int | None = None

    def choice(self, question: str) -> Choice | None:
        """Give the answer to "label" or to an axis; None if it was not answered."""
        return self if question == "label" else getattr(self, question)

    def label_only(self) -> "Prediction":
        """Give the same without its axes."""
        return Prediction(self.scores, layers=self.layers)

    @property
    def holds(self) -> bool | None:
        """Whether the patient has it, or has had it; None without axes."""
        if self.experiencer is None or self.temporality is None:
            return None
        return (
            self.label == "PRESENT"
            and self.experiencer.label == "PATIENT"
            and self.temporality.label != "HYPOTHETICAL"
        )

"""The network that is trained: one encoder, a head for the label and one for each axis.

Layout of all logits and targets: (rows, 9), three columns for each of QUESTIONS.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import data

QUESTIONS = {
    "label": data.LABELS,
    "experiencer": data.EXPERIENCERS,
    "temporality": data.TEMPORALITIES,
}
AXES = tuple(QUESTIONS)[1:]
HEAD_DECAY = 3e-4  # of the squared weights, when heads are fitted alone


class Network(torch.nn.Module):
    """A sequence classifier of transformers with two more heads on its pooler.

    :ivar classifier: transformers' own, which answers the label.
    """

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier
        width = classifier.config.hidden_size
        self.axes = torch.nn.ModuleDict(
            {axis: torch.nn.Linear(width, len(QUESTIONS[axis])) for axis in AXES}
        )

    @property
    def config(self):
        """The configuration of :attr:`classifier`."""
        return self.classifier.config

    @property
    def heads(self) -> dict[str, torch.nn.Linear]:
        """The last layer of each question."""
        return {"label": self.classifier.classifier, **self.axes}

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give the logits (rows, 9) of *ids* and *mask*, each (rows, tokens)."""
        pooled = self.classifier.dropout(self.pooled(ids, mask))
        return torch.cat([head(pooled) for head in self.heads.values()], dim=-1)

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give what the heads see, (rows, width)."""
        return self.classifier.bert(ids, attention_mask=mask).pooler_output

    def state(self) -> dict[str, torch.Tensor]:
        """Give all weights by the names that a model directory has."""
        axes = {f"axes.{name}": value for name, value in self.axes.state_dict().items()}
        return self.classifier.state_dict() | axes


def load(directory: str, seed: int, keep_words: bool):
    """Load a model directory, or an encoder with new, seeded heads; and its tokenizer.

    :param keep_words: whether the embeddings of words stay as they are.
    """
    torch.manual_seed(seed)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        directory,
        dtype=torch.float32,
        id2label=dict(enumerate(data.LABELS)),
        label2id={label: index for index, label in enumerate(data.LABELS)},
        local_files_only=True,
    )
    network = Network(classifier)
    weights = load_file(Path(directory) / "model.safetensors")
    heads = {k.removeprefix("axes."): v for k, v in weights.items() if "axes." in k}
    if heads:
        network.axes.load_state_dict(heads)
    # As rows are few, the words that are in none of them should keep their meaning;
    # and dropout of attention costs a sixth of a step on a CPU.
    classifier.bert.embeddings.word_embeddings.weight.requires_grad_(not keep_words)
    if keep_words:
        for layer in classifier.bert.encoder.layer:
            layer.attention.self.dropout.p = 0.0
    return network, AutoTokenizer.from_pretrained(directory, local_files_only=True)


def right_values(rows: list[data.Row]) -> torch.Tensor:
    """Give which values are right, (rows, 9); all where a row says nothing."""
    answers = []
    for row in rows:
        labels = {row.label} if row.label else set(data.LABELS)
        sets = labels, row.experiencer, row.temporality
        values = zip(QUESTIONS.values(), sets)
        answers.append([v in right for names, right in values for v in names])
    return torch.tensor(answers, dtype=torch.float32)


def refit(model: Network, pooled: torch.Tensor, right: torch.Tensor) -> None:
    """Fit the axes' heads anew to what a trained encoder gives, to the optimum.

    So that rare values get a say: in a few epochs a head hardly learns what one row in
    a hundred is (Kang et al. 2020, https://arxiv.org/abs/1910.09217).

    :param pooled: (rows, width), of rows that are labelled; *right*: (rows, 9).
    """
    for axis, values in zip(AXES, right.split(3, dim=-1)[1:], strict=True):
        known = values.sum(dim=-1) == 1
        head = torch.nn.Linear(pooled.shape[1], len(QUESTIONS[axis]))
        rows, gold = pooled[known], values[known].argmax(dim=-1)
        optimizer = torch.optim.LBFGS(
            head.parameters(), max_iter=150, line_search_fn="strong_wolfe"
        )

        def closure():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(head(rows), gold)
            loss = loss + HEAD_DECAY * head.weight.pow(2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        model.axes[axis] = head


def distance(logits: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    """Give the sum over rows of the cross-entropy of the labels with a teacher's.

    So that what is learned anew does not cost what was known (Li and Hoiem 2016,
    https://arxiv.org/abs/1606.09282).

    :param logits, told: (rows, 9), of the network and of the teacher.
    """
    label = slice(0, len(QUESTIONS["label"]))
    right = told[:, label].softmax(dim=-1)
    return -(right * logits[:, label].log_softmax(dim=-1)).sum()


def loss(logits: torch.Tensor, right: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Give the mean over rows of minus the log of the right values' probability.

    A row with one right value of a question is smoothed (Szegedy et al. 2016,
    https://arxiv.org/abs/1512.00567), one with several is asked for any of them.
    """
    total = logits.new_zeros(len(logits))
    for scores, values in zip(logits.split(3, dim=-1), right.split(3, dim=-1)):
        logs = scores.log_softmax(dim=-1)
        any_right = -(logs + values.log()).logsumexp(dim=-1)
        smoothed = (1 - smoothing) * any_right - smoothing * logs.mean(dim=-1)
        total = total + torch.where(values.sum(dim=-1) == 1, smoothed, any_right)
    return total.mean()

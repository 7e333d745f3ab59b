"""The network that is trained: one encoder, a head for the label and one for each axis.

Layout of all logits and targets: (rows, 9), VALUES columns for each of QUESTIONS.
After some inner layers stands an exit, which answers the same questions early.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import data
from negation_api.model.classifier import marker_ids
from negation_api.model.exits import find_markers

QUESTIONS = {
    "label": data.LABELS,
    "experiencer": data.EXPERIENCERS,
    "temporality": data.TEMPORALITIES,
}
AXES = tuple(QUESTIONS)[1:]
VALUES = 3  # of each question
COLUMNS = VALUES * len(QUESTIONS)
EXITS = (2, 3, 4)  # after how many layers
EXIT_WEIGHT = 0.4  # of an exit's loss, beside the last layer's
EXIT_WIDTH = 128  # of its pooler
EXIT_EPOCHS, EXIT_BATCH, EXIT_RATE, EXIT_DROPOUT = 40, 256, 2e-3, 0.2
HEAD_DECAY = 3e-4  # of the squared weights, when heads are fitted alone


def by_question(columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Split (rows, 9) into (rows, VALUES) for each of QUESTIONS."""
    return columns.split(VALUES, dim=-1)


class Exit(torch.nn.Module):
    """A pooler and a head on what an inner layer has at the entity's two markers.

    At the markers, as [CLS] knows of the entity in the upper layers only.
    """

    def __init__(self, width: int):
        super().__init__()
        self.pooler = torch.nn.Linear(2 * width, EXIT_WIDTH)
        self.head = torch.nn.Linear(EXIT_WIDTH, COLUMNS)

    def forward(self, marks: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        """Give the logits (rows, 9) of *marks*, (rows, 2 * width)."""
        pooled = self.pooler(marks).tanh()
        return self.head(torch.nn.functional.dropout(pooled, dropout))


class Network(torch.nn.Module):
    """A sequence classifier of transformers with two more heads on its pooler.

    :param marker: token ids of an entity's marker.
    :ivar classifier: transformers' own, which answers the label.
    :ivar exits: by after how many layers.
    """

    def __init__(self, classifier, marker: list[int]):
        super().__init__()
        self.classifier = classifier
        self._marker = marker
        width = classifier.config.hidden_size
        self.axes = torch.nn.ModuleDict(
            {axis: torch.nn.Linear(width, len(QUESTIONS[axis])) for axis in AXES}
        )
        self.exits = torch.nn.ModuleDict({str(n): Exit(width) for n in EXITS})

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
        return self._last(self.pooled(ids, mask))

    def _last(self, pooled: torch.Tensor) -> torch.Tensor:
        pooled = self.classifier.dropout(pooled)
        return torch.cat([head(pooled) for head in self.heads.values()], dim=-1)

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give what the heads see, (rows, width)."""
        return self.classifier.bert(ids, attention_mask=mask).pooler_output

    def see(self, ids: torch.Tensor, mask: torch.Tensor):
        """Give the last layer's logits (rows, 9) and what each exit sees.

        :returns: also (exits, marked rows, 2 * width), and which rows are marked.
        """
        found = self.classifier.bert(
            ids, attention_mask=mask, output_hidden_states=True
        )
        marks = [find_markers(row, self._marker) for row in ids.tolist()]
        marked = torch.tensor([each is not None for each in marks])
        places = torch.tensor([each for each in marks if each], dtype=torch.long)
        rows, places = marked.nonzero(), places.view(-1, 2)
        seen = [found.hidden_states[layer][rows, places].flatten(1) for layer in EXITS]
        return self._last(found.pooler_output), torch.stack(seen), marked

    def early(self, ids: torch.Tensor, mask: torch.Tensor):
        """Give the last layer's logits (rows, 9) and the exits'.

        :returns: also (exits, marked rows, 9), and which rows are marked.
        """
        last, seen, marked = self.see(ids, mask)
        exits = zip(self.exits.values(), seen, strict=True)
        early = [leave(marks, EXIT_DROPOUT) for leave, marks in exits]
        return last, torch.stack(early), marked

    def observe(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give the last layer's logits and what each exit sees of marked rows.

        :returns: (exits, rows, 9 + 2 * width).
        """
        last, seen, _ = self.see(ids, mask)
        return torch.stack([torch.cat([last, each], dim=-1) for each in seen])

    def state(self) -> dict[str, torch.Tensor]:
        """Give all weights by the names that a model directory has."""
        own = self.state_dict().items()
        more = {k: v for k, v in own if k.startswith(("axes.", "exits."))}
        return self.classifier.state_dict() | more


def load(directory: str, seed: int, keep_words: bool):
    """Load a model directory, or an encoder with new, seeded heads; and its tokenizer.

    :param keep_words: whether the embeddings of words stay as they are.
    """
    torch.manual_seed(seed)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        directory,
        dtype=torch.float32,
        attn_implementation="eager",  # whose backward pass is thrice as fast on a CPU
        id2label=dict(enumerate(data.LABELS)),
        label2id={label: index for index, label in enumerate(data.LABELS)},
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    network = Network(classifier, marker_ids(tokenizer))
    weights = load_file(Path(directory) / "model.safetensors")
    more = {k: v for k, v in weights.items() if k.startswith(("axes.", "exits."))}
    network.load_state_dict(more, strict=False)
    # As rows are few, the words that are in none of them should keep their meaning.
    classifier.bert.embeddings.word_embeddings.weight.requires_grad_(not keep_words)
    for layer in classifier.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.0  # which costs a sixth of a step on a CPU
    return network, tokenizer


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
    for axis, values in zip(AXES, by_question(right)[1:], strict=True):
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


def fit_exits(model: Network, observed: torch.Tensor) -> None:
    """Fit the exits to what the last layer, calibrated, says of the same rows.

    With the encoder as it is now. Self-distillation as in Liu et al. 2020,
    https://aclanthology.org/2020.acl-main.537/.

    :param observed: (exits, rows, 9 + 2 * width), as :meth:`Network.observe` gives it.
    """
    for leave, each in zip(model.exits.values(), observed, strict=True):
        last, marks = each[:, :COLUMNS], each[:, COLUMNS:]
        rights = [scores.softmax(dim=-1) for scores in by_question(last)]
        optimizer = torch.optim.AdamW(leave.parameters(), EXIT_RATE, weight_decay=0.02)
        steps = EXIT_EPOCHS * -(-len(marks) // EXIT_BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, EXIT_RATE, steps)
        for _ in range(EXIT_EPOCHS):
            for rows in torch.randperm(len(marks)).split(EXIT_BATCH):
                pieces = by_question(leave(marks[rows], EXIT_DROPOUT))
                loss = -sum(
                    (right[rows] * scores.log_softmax(dim=-1)).sum(-1).mean()
                    for right, scores in zip(rights, pieces, strict=True)
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()


def distance(logits: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Give the sum over rows of the cross-entropy of the labels with a teacher's.

    So that what is learned anew does not cost what was known (Li and Hoiem 2016,
    https://arxiv.org/abs/1606.09282).

    :param logits, teacher: (rows, 9), of the network and of the teacher.
    """
    label = slice(0, len(QUESTIONS["label"]))
    right = teacher[:, label].softmax(dim=-1)
    return -(right * logits[:, label].log_softmax(dim=-1)).sum()


def loss(logits: torch.Tensor, right: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Give the mean over rows of minus the log of the right values' probability.

    A row with one right value of a question is smoothed (Szegedy et al. 2016,
    https://arxiv.org/abs/1512.00567), one with several is asked for any of them.
    """
    total = logits.new_zeros(len(logits))
    for scores, values in zip(by_question(logits), by_question(right)):
        logs = scores.log_softmax(dim=-1)
        any_right = -(logs + values.log()).logsumexp(dim=-1)
        smoothed = (1 - smoothing) * any_right - smoothing * logs.mean(dim=-1)
        total = total + torch.where(values.sum(dim=-1) == 1, smoothed, any_right)
    return total.mean()

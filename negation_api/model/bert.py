"""BERT for sequence classification, computed on rows of any length without padding.

The layers are those of Devlin et al. 2019 (https://aclanthology.org/N19-1423/) and
the weights transformers' own; what differs is the order of the work:

- Rows lie one after the other in a (tokens, width) matrix, so that the linear
  layers, nearly all of the work, see no padding. Only attention pads, and only to
  the longest of a group of rows of like length.
- Query, key and value are one product.
- Of the last layer only what [CLS] needs is computed.
- A row that is settled at an exit (``exits.py``) leaves the matrix.

The fewer and larger the operators, the less often inference threads and request
threads wait for each other's hold on Python.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import torch
from torch.nn import functional

from negation_api.model.exits import Exit, ExitWeights, find_markers
from negation_api.model.linear import PlainLinear, make_linear
from negation_api.model.quantize import QuantizedLinear

Norm = Callable[[torch.Tensor], torch.Tensor]

# Pairs of tokens of which one is padding, in a group: as many as take about as long as
# one more group would.
MAX_WASTE = 2048


def can_pack(config) -> bool:
    """Tell whether :class:`PackedBert` computes the model that *config* describes."""
    return (
        config.model_type == "bert"
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not config.is_decoder
        and config.problem_type in (None, "single_label_classification")
    )


@dataclass(frozen=True)
class Group:
    """Rows of like length, whose attention is computed together.

    :ivar tokens: the slice of the (tokens, width) matrix that they are.
    :ivar rows: the slice of the batch's rows that they are.
    :ivar padded: (rows * longest), the index of each token in the slice, 0 in the
        padding; None when all rows are of one length.
    :ivar unpadded: (tokens), the indices in *padded* that are no padding.
    :ivar mask: (rows, 1, 1, longest), True at tokens.
    """

    tokens: slice
    rows: slice
    longest: int
    padded: torch.Tensor | None = None
    unpadded: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @classmethod
    def of(cls, lengths: Sequence[int], row: int, token: int) -> "Group":
        """Plan the padding of rows of *lengths*, the first of which is *row*."""
        tokens = slice(token, token + sum(lengths))
        rows = slice(row, row + len(lengths))
        longest = max(lengths)
        if min(lengths) == longest:
            return cls(tokens, rows, longest)
        sizes = torch.tensor(lengths)[:, None]
        position = torch.arange(longest)
        mask = position < sizes  # (rows, longest)
        padded = torch.where(mask, sizes.cumsum(0) - sizes + position, 0).flatten()
        unpadded = mask.flatten().nonzero().squeeze(1)
        return cls(tokens, rows, longest, padded, unpadded, mask[:, None, None])

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        """Lay its part of (tokens, width) out as (rows, longest, width)."""
        x = x[self.tokens]
        if self.padded is not None:
            x = x.index_select(0, self.padded)
        return x.view(self.rows.stop - self.rows.start, self.longest, -1)

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`pad`: give its tokens of (rows, longest, width)."""
        x = x.flatten(0, 1)
        return x if self.unpadded is None else x.index_select(0, self.unpadded)


def make_groups(lengths: Sequence[int]) -> list[Group]:
    """Divide rows, the longest first, so that little is computed for padding.

    >>> [each.rows for each in make_groups([90, 88, 50, 49, 48, 5])]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 6, None)]
    """
    groups, begin, token, waste = [], 0, 0, 0
    for row, length in enumerate(lengths):
        waste += lengths[begin] ** 2 - length**2
        if waste > MAX_WASTE:
            groups.append(Group.of(lengths[begin:row], begin, token))
            begin, token, waste = row, groups[-1].tokens.stop, 0
    return [*groups, Group.of(lengths[begin:], begin, token)]


class Batch:
    """The rows that are still on their way through the layers, the longest first.

    :ivar x: (tokens, width).
    :ivar order: the index of each row among those that were given.
    :ivar starts: the first token of each row.
    :ivar marks: where the two markers of each row stand in it, None without.
    """

    def __init__(
        self,
        x: torch.Tensor,
        lengths: list[int],
        order: list[int],
        marks: list[tuple[int, int] | None],
    ):
        self.x = x
        self._lengths = lengths
        self.order = order
        self.groups = make_groups(lengths)
        self.starts = list(accumulate(lengths[:-1], initial=0))
        self.marks = marks

    def at_marks(self) -> torch.Tensor:
        """Give what is at each row's markers, (rows, 2 * width)."""
        tokens = [
            start + position
            for start, marks in zip(self.starts, self.marks)
            for position in marks or (0, 0)
        ]
        return self.x[torch.tensor(tokens)].view(len(self.order), -1)

    def divide(self, settled: list[bool]) -> tuple[list[int], list[int]]:
        """Give the rows that leave, which are settled and marked, and the others."""
        leaving, staying = [], []
        for row, (sure, marks) in enumerate(zip(settled, self.marks)):
            (leaving if sure and marks else staying).append(row)
        return leaving, staying

    def take(self, rows: list[int]) -> "Batch":
        """Give the batch of *rows* alone."""
        lengths, order, marks = (
            [values[row] for row in rows]
            for values in (self._lengths, self.order, self.marks)
        )
        spans = (
            range(self.starts[row], self.starts[row] + n)
            for row, n in zip(rows, lengths)
        )
        tokens = torch.tensor(list(chain.from_iterable(spans)))
        return Batch(self.x.index_select(0, tokens), lengths, order, marks)


class PackedBert:
    """A BERT classifier's forward pass over packed rows.

    :param network: ``BertForSequenceClassification``, whose weights are taken over.
    :param int8: quantize all linear layers but the last.
    :param last: more last layers, whose logits follow those of the labels.
    :param exits: those after inner layers, by the number of the layer.
    :param marker: token ids of an entity's marker, for the exits.
    :param labelled: whether the label must be settled at an exit, as it is asked for.
    """

    def __init__(
        self,
        network,
        int8: bool,
        last: Sequence[torch.nn.Linear] = (),
        exits: Mapping[int, ExitWeights] = {},
        marker: Sequence[int] = (),
        labelled: bool = True,
    ):
        bert, config = network.bert, network.config
        make = QuantizedLinear if int8 else PlainLinear
        # A view of one weight keeps the whole file of weights mapped.
        own = torch.Tensor.clone if int8 else torch.Tensor.detach
        embeddings = bert.embeddings
        self._words = own(embeddings.word_embeddings.weight.detach())
        self._positions = (
            embeddings.position_embeddings.weight
            + embeddings.token_type_embeddings.weight[0]
        ).detach()
        self._norm = _norm(embeddings.LayerNorm, own)
        heads = config.num_attention_heads
        self._layers = [Layer(each, heads, make, own) for each in bert.encoder.layer]
        self._pooler = make(bert.pooler.dense)
        joined = _join(network.classifier, *last)
        self._classifier = PlainLinear(joined, own=own)
        self._num_columns = joined.out_features
        self._exits = {n: Exit(each, own, labelled) for n, each in exits.items()}
        self._marker = marker
        if int8:  # before a fork, so that the code is shared
            for linear in self._layers[0].linears:
                linear.prepare(config.max_position_embeddings)

    def __call__(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, list[int]]:
        """Give logits (rows, labels and values of heads) of rows of token ids.

        And after how many layers each row was answered.
        """
        batch = self._embed(rows)
        logits = torch.empty(len(rows), self._num_columns)
        depths = [len(self._layers)] * len(rows)
        for depth, layer in enumerate(self._layers[:-1], 1):
            batch.x = layer(batch.x, batch.groups)
            if depth not in self._exits:
                continue
            early, settled = self._exits[depth](batch.at_marks())
            leaving, staying = batch.divide(settled)
            for row in leaving:
                depths[batch.order[row]] = depth
            if leaving:
                logits[[batch.order[row] for row in leaving]] = early[leaving]
            if not staying:
                break
            if leaving:
                batch = batch.take(staying)
        else:
            starts = torch.tensor(batch.starts)
            x = self._layers[-1].first(batch.x, batch.groups, starts)
            logits[batch.order] = self._classifier(self._pooler(x).tanh())
        return logits, depths

    def _embed(self, rows: Sequence[Sequence[int]]) -> Batch:
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        lengths = [len(rows[index]) for index in order]
        ids = torch.tensor(list(chain.from_iterable(rows[index] for index in order)))
        positions = torch.tensor(list(chain.from_iterable(map(range, lengths))))
        x = self._words[ids].add_(self._positions[positions])
        marks = [None] * len(rows)
        if self._exits:
            marks = [find_markers(rows[index], self._marker) for index in order]
        return Batch(self._norm(x), lengths, order, marks)


class Layer:
    """One transformer layer."""

    def __init__(self, layer, heads: int, make, own):
        attention = layer.attention.self
        self._heads = heads
        self._attend = make(_join(attention.query, attention.key, attention.value))
        self._project = make(layer.attention.output.dense)
        self._norm = _norm(layer.attention.output.LayerNorm, own)
        self._widen = make(layer.intermediate.dense, gelu=True)
        self._narrow = make(layer.output.dense)
        self._last_norm = _norm(layer.output.LayerNorm, own)

    @property
    def linears(self) -> tuple[PlainLinear | QuantizedLinear, ...]:
        """Its linear layers, one of each shape that the model has."""
        return self._attend, self._project, self._widen, self._narrow

    def __call__(self, x: torch.Tensor, groups: list[Group]) -> torch.Tensor:
        """Map (tokens, width) to (tokens, width)."""
        attended = self._attend(x)
        mixed = [group.pack(self._mix(attended, group)) for group in groups]
        return self._feed_forward(x, torch.cat(mixed))

    def first(self, x, groups: list[Group], starts: torch.Tensor) -> torch.Tensor:
        """Map (tokens, width) to (rows, width), the first token of each row."""
        attended = self._attend(x)
        mixed = [self._mix(attended, group, 1).squeeze(1) for group in groups]
        return self._feed_forward(x[starts], torch.cat(mixed))

    def _mix(self, x: torch.Tensor, group: Group, asking: int | None = None):
        """Attend to *x*, query, key and value of each token, (tokens, 3 * width).

        :param asking: the first places of a row, for which alone it is done.
        :returns: (rows, longest or *asking*, width).
        """
        padded = group.pad(x)
        shape = *padded.shape[:2], 3, self._heads, -1
        query, key, value = padded.view(shape).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query[:, :, :asking], key, value, attn_mask=group.mask
        )
        return mixed.transpose(1, 2).flatten(2)

    def _feed_forward(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = self._norm(self._project(mixed, plus=x))
        return self._last_norm(self._narrow(self._widen(x), plus=x))


def _join(*layers: torch.nn.Linear) -> torch.nn.Linear:
    """Make one linear layer that gives what *layers* give, side by side."""
    weight = torch.cat([layer.weight for layer in layers])
    return make_linear(weight, torch.cat([layer.bias for layer in layers]))


def _norm(layer: torch.nn.LayerNorm, own) -> Norm:
    weight, bias = own(layer.weight.detach()), own(layer.bias.detach())
    shape, epsilon = layer.normalized_shape, layer.eps
    return lambda x: functional.layer_norm(x, shape, weight, bias, epsilon)

"""BERT for sequence classification, computed on rows of any length without padding.

The layers are those of Devlin et al. 2019 (https://aclanthology.org/N19-1423/) and
the weights transformers' own; what differs is the order of the work:

- Rows lie one after the other in a (tokens, width) matrix, so that the linear
  layers, nearly all of the work, see no padding. Only attention pads.
- Query, key and value are one product.
- Of the last layer only what [CLS] needs is computed.
- What is large is computed in memory that each thread keeps, in rooms: "x" is
  what goes from layer to layer; "linear" what a linear layer gives; "wide" what is
  wider, or in other order, on the way to the next linear layer. What torch makes room
  for itself is copied into one and freed at once, so that nothing comes to lie behind
  it.

The fewer and larger the operators, the less often inference threads and request
threads wait for each other's hold on Python.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch.nn import functional

from negation_api.quantize import QuantizedLinear, round_up
from negation_api.workspace import Workspace

Linear = Callable[[torch.Tensor], torch.Tensor]


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
class Packing:
    """Where the tokens of rows lie in the (tokens, width) matrix.

    :ivar starts: (rows), place of each row's [CLS].
    :ivar padded: (rows * longest), the place of each token, 0 in the padding; None
        when all rows are of one length.
    :ivar tokens: (tokens), the places in *padded* that are no padding.
    :ivar mask: (rows, 1, 1, longest), True at tokens.
    """

    rows: int
    longest: int
    positions: torch.Tensor
    starts: torch.Tensor
    padded: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Packing":
        """Plan the packing of rows of *lengths*."""
        sizes = torch.tensor(lengths)
        longest = max(lengths)
        starts = sizes.cumsum(0) - sizes
        place = torch.arange(longest)
        mask = place < sizes[:, None]  # (rows, longest)
        positions = place.expand_as(mask)[mask]
        if min(lengths) == longest:
            return cls(len(lengths), longest, positions, starts)
        padded = torch.where(mask, starts[:, None] + place, 0).flatten()
        tokens = mask.flatten().nonzero().squeeze(1)
        mask = mask[:, None, None]
        return cls(len(lengths), longest, positions, starts, padded, tokens, mask)

    def pad(self, x: torch.Tensor, space: Workspace) -> torch.Tensor:
        """Lay (tokens, width) out as (rows, longest, width)."""
        if self.padded is not None:
            room = space.take("wide", len(self.padded), x.shape[1])
            x = torch.index_select(x, 0, self.padded, out=room)
        return x.view(self.rows, self.longest, -1)

    def pack(self, x: torch.Tensor, space: Workspace) -> torch.Tensor:
        """Undo :meth:`pad`."""
        x = x.flatten(0, 1)
        room = space.take("wide", len(self.positions), x.shape[1])
        if self.tokens is None:
            return room.copy_(x)
        return torch.index_select(x, 0, self.tokens, out=room)


class PackedBert:
    """A BERT classifier's forward pass over packed rows.

    :param network: ``BertForSequenceClassification``, whose weights are taken over.
    :param int8: quantize all linear layers but the last.
    """

    def __init__(self, network, int8: bool):
        bert, config = network.bert, network.config
        self._space = space = Workspace()
        make = partial(QuantizedLinear if int8 else PlainLinear, space)
        # A view of one weight keeps the whole file of weights mapped.
        keep = torch.Tensor.clone if int8 else torch.Tensor.detach
        embeddings = bert.embeddings
        self._words = keep(embeddings.word_embeddings.weight.detach())
        self._places = (
            embeddings.position_embeddings.weight
            + embeddings.token_type_embeddings.weight[0]
        ).detach()
        self._norm = _norm(embeddings.LayerNorm, keep)
        heads = config.num_attention_heads
        self._layers = [
            Layer(layer, heads, space, make, keep) for layer in bert.encoder.layer
        ]
        self._pooler = make(bert.pooler.dense)
        self._classifier = PlainLinear(space, network.classifier, keep=keep)
        if int8:  # before a fork, so that the code is shared
            for linear in self._layers[0].linears:
                linear.prepare(config.max_position_embeddings)

    def __call__(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Give the logits (rows, labels) of rows of token ids."""
        packing = Packing.of([len(row) for row in rows])
        ids = torch.tensor(list(chain.from_iterable(rows)))
        size = len(ids), self._words.shape[1]
        x = self._space.take("x", *size)
        torch.index_select(self._words, 0, ids, out=x)
        places = self._space.take("linear", *size)
        torch.index_select(self._places, 0, packing.positions, out=places)
        x.copy_(self._norm(x.add_(places)))
        for layer in self._layers[:-1]:
            x = layer(x, packing)
        x = self._layers[-1].first(x, packing)
        logits = self._classifier(self._pooler(x).tanh()).clone()
        self._space.give_back()
        return logits


class PlainLinear:
    """Computes what a ``torch.nn.Linear`` does.

    What it gives lies in the room "wide" when GELU is applied to it, otherwise in
    "linear", where its input must not lie.

    :param gelu: apply GELU to what comes out.
    """

    def __init__(
        self,
        space: Workspace,
        linear: torch.nn.Linear,
        gelu: bool = False,
        keep=torch.Tensor.detach,
    ):
        self._space = space
        self._weight = keep(linear.weight.detach()).t()  # (in, out)
        self._bias = keep(linear.bias.detach())
        self._gelu = gelu

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, in) to (rows, out)."""
        name, num_rows = "linear", len(x)
        if self._gelu:  # oneDNN's, which keeps code for each number of rows
            name, num_rows = "wide", round_up(num_rows)
        room = self._space.take(name, num_rows, self._weight.shape[1])
        out = room[: len(x)]
        torch.addmm(self._bias, x, self._weight, out=out)
        if self._gelu:
            torch._C._nn.gelu_(room)
        return out


class Layer:
    """One transformer layer."""

    def __init__(self, layer, heads: int, space: Workspace, make, keep):
        attention = layer.attention.self
        self._heads = heads
        self._space = space
        self._attend = make(_join(attention.query, attention.key, attention.value))
        self._project = make(layer.attention.output.dense)
        self._norm = _norm(layer.attention.output.LayerNorm, keep)
        self._widen = make(layer.intermediate.dense, gelu=True)
        self._narrow = make(layer.output.dense)
        self._last_norm = _norm(layer.output.LayerNorm, keep)

    @property
    def linears(self) -> tuple[Linear, ...]:
        """Its linear layers, one of each shape that the model has."""
        return self._attend, self._project, self._widen, self._narrow

    def __call__(self, x: torch.Tensor, packing: Packing) -> torch.Tensor:
        """Map (tokens, width) to (tokens, width)."""
        query, key, value = self._split(x, packing)
        mixed = packing.pack(_mix(query, key, value, packing.mask), self._space)
        return self._feed_forward(x, mixed)

    def first(self, x: torch.Tensor, packing: Packing) -> torch.Tensor:
        """Map (tokens, width) to (rows, width), the first token of each row."""
        query, key, value = self._split(x, packing)
        mixed = _mix(query[:, :, :1], key, value, packing.mask)
        return self._feed_forward(x[packing.starts], mixed.flatten(0, 1))

    def _split(self, x: torch.Tensor, packing: Packing):
        """Give query, key and value, each (rows, heads, longest, width of a head)."""
        padded = packing.pad(self._attend(x), self._space)
        shape = packing.rows, packing.longest, 3, self._heads, -1
        return padded.view(shape).permute(2, 0, 3, 1, 4)

    def _feed_forward(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x.copy_(self._norm(self._project(mixed).add_(x)))
        return x.copy_(self._last_norm(self._narrow(self._widen(x)).add_(x)))


def _mix(query, key, value, mask) -> torch.Tensor:
    """Attend; give (rows, places of the query, width)."""
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def _join(*layers: torch.nn.Linear) -> torch.nn.Linear:
    """Make one linear layer that gives what *layers* give, side by side."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    joined = torch.nn.Linear(*weight.shape[::-1], device="meta")
    joined.weight = torch.nn.Parameter(weight, requires_grad=False)
    bias = torch.cat([layer.bias.detach() for layer in layers])
    joined.bias = torch.nn.Parameter(bias, requires_grad=False)
    return joined


def _norm(layer: torch.nn.LayerNorm, keep) -> Linear:
    weight, bias = keep(layer.weight.detach()), keep(layer.bias.detach())
    shape, epsilon = layer.normalized_shape, layer.eps
    return lambda x: functional.layer_norm(x, shape, weight, bias, epsilon)

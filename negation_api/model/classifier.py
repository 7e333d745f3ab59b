"""The assertion classifier. The only import of transformers.

Follows van Aken et al. 2021, "Assertion Detection in Clinical Notes: Medical
Language Models to the Rescue?", https://aclanthology.org/2021.nlpmc-1.5/, and its
weights, https://huggingface.co/bvanaken/clinical-assertion-negation-bert.
"""

import os

# Read when the tokenizers library starts its thread pool, which does not survive
# the fork; parallelism comes from the request threads.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Read at MKL's first product: it would keep 16 MB of buffers for each inference
# thread; malloc is as fast.
os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
# torch's compiler, which is imported and not used, makes this directory; its default
# needs a writable /tmp. Any directory that exists will do.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.dirname(__file__))

import logging  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import replace  # noqa: E402
from functools import lru_cache  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from transformers import AutoConfig  # noqa: E402
from transformers import AutoModelForSequenceClassification  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

from negation_api.contract.labels import AXES, LABELS, Choice, Prediction  # noqa: E402
from negation_api.model.artefact import (  # noqa: E402
    CONFIG,
    TOKENIZERS,
    WEIGHTS,
    Artefact,
    ModelError,
    directory_of,
    is_hub_id,
    verify,
)
from negation_api.model.beside import Beside  # noqa: E402
from negation_api.model.bert import PackedBert, can_pack  # noqa: E402
from negation_api.model.exits import VALUES, marker_starts  # noqa: E402
from negation_api.model.exits import read_exits, read_linear  # noqa: E402
from negation_api.model.memory import keep_freed_tensors  # noqa: E402
from negation_api.model.quantize import why_not  # noqa: E402
from negation_api.settings import Settings  # noqa: E402
from negation_api.text.markers import (  # noqa: E402
    MARKER,
    MIN_READ_CHARS,
    MarkerError,
    SentenceTooLong,
    fit_window,
    marked_span,
    widening,
)
from negation_api.text.spans import Span  # noqa: E402

BASE_WIDTH, BASE_BATCH_TOKENS = 768, 256  # of BERT-base; less wide, more tokens
MAX_BATCH_TOKENS = 512
NUM_CONTROL_TOKENS = 2  # [CLS] ... [SEP]

log = logging.getLogger(__name__)


class AssertionClassifier:
    """Tokenizes marked sentences and classifies batches of them.

    :param forward: maps rows of token ids to logits (rows, columns), those of the
        labels, then those of each axis; and to after how many layers each was
        answered, or None where all take the same way.
    :param marker: its token ids, see :func:`marker_ids`.
    :param axes: the values of each axis that the model answers, in that order.
    :ivar labels: the model's own, in the order of its logits, upper case.
    :ivar axes: the values of each axis that it answers.
    :ivar headed: whether it reads the section of an entity too.
    :ivar beside: None; what answers the axes, where that is another classifier.
    :ivar max_tokens: the longest row it reads, [CLS] and [SEP] included.
    :ivar batch_tokens: how many tokens of several rows are best computed at once.
    """

    def __init__(
        self,
        forward,
        config,
        tokenizer,
        marker: Sequence[int],
        artefact: Artefact | None,
        precision: str,
        axes: Mapping[str, Sequence[str]] | None = None,
    ):
        self._forward = forward
        self.artefact = artefact
        self.precision = precision
        self.labels = _labels(config)
        self.axes = dict(axes or {})
        self.headed = bool(axes)
        self.beside = None
        self.max_tokens = min(
            config.max_position_embeddings, tokenizer.model_max_length
        )
        width = getattr(config, "hidden_size", BASE_WIDTH)
        fitting = BASE_BATCH_TOKENS * BASE_WIDTH // width
        self.batch_tokens = min(fitting, MAX_BATCH_TOKENS)
        self._ends = tokenizer.cls_token_id, tokenizer.sep_token_id
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # "[SEP]" in a client's text becomes plain pieces, never a control token.
        self._tokenizer.encode_special_tokens = True
        self._marker = marker

    def after_fork(self) -> None:
        """Make torch ready in a forked process, before threads use it.

        After a fork the first use of torch's thread pool replaces the dead one, and
        a thread that comes at that very moment finds none ("Invalid thread pool!").
        """
        torch.set_num_threads(1)

    def encode(
        self, sentence: str, marked: bool = True, ours: bool = False
    ) -> tuple[int, ...]:
        """Give the token ids of *sentence*, ``[CLS] ... [SEP]``.

        A marked sentence longer than ``max_tokens`` is cut to a window round its
        entity, on token boundaries.

        :param ours: whether we marked it; what else reads as a marker then loses its
            brackets.
        :raises EntityTooLong: when the marked entity alone does not fit.
        :raises SentenceTooLong: when an unmarked sentence does not fit.
        :raises MarkerError: when something else in it reads as a marker.
        """
        wanted = 2 if marked else 0
        if ours and sentence.count("[") > wanted:
            sentence = self._unmark(sentence)
        limit = self.max_tokens - NUM_CONTROL_TOKENS
        ids = None
        if len(sentence) <= 2 * MIN_READ_CHARS:
            ids = self._tokenize(sentence).ids
        if ids is None or len(ids) > limit:
            encode = self._encode_window if marked else self._encode_whole
            ids = encode(sentence, limit)
        given = self._count_markers(ids)
        if given > wanted:
            raise MarkerError(
                f"Must hold exactly 2 {MARKER} markers or none; given {given}."
            )
        first, last = self._ends
        return first, *ids, last

    def _tokenize(self, text: str):
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _count_markers(self, ids: Sequence[int]) -> int:
        """Count the markers as the model sees them, whatever was written."""
        return len(marker_starts(ids, self._marker))

    def _unmark(self, sentence: str) -> str:
        """Take the brackets off what reads as a marker and is written otherwise.

        The tokenizer passes over accents, blanks and what is not seen, so that there
        are many ways to write one.
        """
        encoding, characters = self._tokenize(sentence), list(sentence)
        for first in marker_starts(encoding.ids, self._marker):
            start, _ = encoding.offsets[first]
            _, end = encoding.offsets[first + len(self._marker) - 1]
            if sentence[start:end].lower() != MARKER:
                characters[start], characters[end - 1] = "()"
        return "".join(characters)

    def _encode_window(self, sentence: str, limit: int) -> list[int]:
        """Give the *limit* tokens round the entity, or all if there are no more."""
        entity = marked_span(sentence)
        for part in widening(sentence, entity):
            encoding = self._tokenize(sentence[part.start : part.end])
            span = Span(entity.start - part.start, entity.end - part.start)
            tokens, total = _token_span(span, encoding), len(encoding.ids)
            wanted = limit - (tokens.end - tokens.start)  # on each side
            begins = part.start == 0 or tokens.start >= wanted
            ends = part.end == len(sentence) or total - tokens.end >= wanted
            if begins and ends:
                break
        window = fit_window(total, tokens, limit)
        return encoding.ids[window.start : window.end]

    def _encode_whole(self, sentence: str, limit: int) -> list[int]:
        """Give all tokens of *sentence*, read no further than it takes to refuse it."""
        for part in widening(sentence, Span(0, 0)):
            ids = self._tokenize(sentence[: part.end]).ids
            if len(ids) > limit:
                at_least = "at least " if part.end < len(sentence) else ""
                raise SentenceTooLong(
                    f"The sentence has {at_least}{len(ids)} tokens; at most {limit}"
                    " fit."
                )
        if part.end < len(sentence):
            raise SentenceTooLong(
                f"The sentence has {len(sentence)} characters; at most {part.end} are"
                " read."
            )
        return ids

    @torch.inference_mode()
    def classify(self, rows: Sequence[Sequence[int]]) -> list[Prediction]:
        """Classify a batch of rows of token ids.

        :raises ModelError: when the network gives anything but numbers.
        """
        logits, depths = self._forward(rows)
        depths = [None] * len(rows) if depths is None else depths
        questions = self.labels, *self.axes.values()
        pieces = logits.float().split([len(values) for values in questions], dim=-1)
        scores = [piece.softmax(dim=-1) for piece in pieces]
        if not all(each.isfinite().all() for each in scores):
            raise ModelError("the model gave something that is not a number")
        labels, *axes = (
            [dict(zip(values, row)) for row in each.tolist()]
            for values, each in zip(questions, scores)
        )
        choices = [map(Choice, each) for each in axes]
        return [
            Prediction(label, **dict(zip(self.axes, answers)), layers=depth)
            for depth, label, *answers in zip(depths, labels, *choices)
        ]


class PaddedNetwork:
    """Any of transformers' sequence classifiers, on rows padded to the longest."""

    def __init__(self, network, pad: int):
        self._network = network
        self._pad = pad

    def __call__(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, None]:
        """Give the logits (rows, labels) of rows of token ids."""
        lengths = torch.tensor([len(row) for row in rows])
        longest = int(lengths.max())
        padded = [[*row, *[self._pad] * (longest - len(row))] for row in rows]
        mask = (torch.arange(longest) < lengths[:, None]).long()
        return self._network(torch.tensor(padded), attention_mask=mask).logits, None


def _token_span(span: Span, encoding) -> Span:
    """Give the span in tokens of what has *span* in characters."""
    inside = [
        index
        for index, (start, end) in enumerate(encoding.offsets)
        if start < span.end and end > span.start
    ]
    return Span(inside[0], inside[-1] + 1)


def _labels(config) -> tuple[str, ...]:
    names = [config.id2label.get(index) for index in range(len(config.id2label))]
    labels = tuple(str(name).upper() for name in names)
    if len(labels) != len(LABELS) or set(labels) != set(LABELS):
        raise ModelError(
            f"the model's labels are {', '.join(map(str, config.id2label.values()))};"
            f" must be exactly {', '.join(sorted(LABELS))}"
        )
    return labels


# --- from a directory ---------------------------------------------------------

# Never from anywhere else, and never a repository's own code.
_LOCAL = dict(local_files_only=True, trust_remote_code=False)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into a ModelError of one line about *path*."""
    try:
        yield
    except Exception as error:
        # The libraries' messages may run over pages; their first line says enough.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: cannot be loaded: {reason}") from error


def _read_config(directory: Path):
    with _naming(directory / CONFIG):
        config = AutoConfig.from_pretrained(directory, **_LOCAL)
    config.axes = getattr(config, "axes", None) or {}
    config.exits = getattr(config, "exits", None) or {}
    try:
        _labels(config)
        _check_axes(config)
        _check_exits(config)
    except ModelError as error:
        raise ModelError(f"{directory / CONFIG}: {error}") from None
    return config


def _check_axes(config) -> None:
    """See that the model answers our axes in our order, or none."""
    for axis, values in AXES.items():
        if config.axes and tuple(config.axes.get(axis, ())) != values:
            raise ModelError(f"axes.{axis} must be {', '.join(values)}")


def _check_exits(config) -> None:
    """See that exits stand after inner layers and have thresholds."""
    if config.exits and not can_pack(config):
        raise ModelError("exits: only BERT is left early")
    inner = {str(number) for number in range(1, config.num_hidden_layers)}
    for layer, threshold in config.exits.items():
        if layer not in inner or not 0 < threshold <= 1:
            raise ModelError(
                f"exits.{layer}: must be a layer from 1 to {len(inner)}, with a"
                " threshold above 0 and up to 1"
            )


def _read_network(directory: Path, config):
    path = directory / WEIGHTS
    # Opened first: a damaged file is told from one that does not fit.
    with _naming(path), safe_open(path, framework="pt") as weights:
        network, report = AutoModelForSequenceClassification.from_pretrained(
            directory,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **_LOCAL,
        )
        # transformers knows one question to a model: it passes over these weights.
        heads = {axis: read_linear(weights, f"axes.{axis}") for axis in config.axes}
        num_columns = VALUES * (1 + len(heads))
        exits = read_exits(weights, config.exits, num_columns)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(f"{path}: lacks {missing[0]}")
    return network.eval(), heads, exits


def _read_tokenizer(directory: Path, config):
    """Read the tokenizer and see that it is the model's.

    Without ``tokenizer.json`` it is the library's default for ``vocab.txt``, which
    lower-cases and has no longest input: what ClinicalBERT was published with.
    """
    present = [name for name in TOKENIZERS if (directory / name).is_file()]
    if not present:
        # transformers would go on with a vocabulary of control tokens.
        raise ModelError(f"{directory / TOKENIZERS[-1]}: missing")
    path = directory / present[0]
    with _naming(path):
        tokenizer = AutoTokenizer.from_pretrained(directory, config=config, **_LOCAL)
        tokenizer("\N{SNOWMAN}")  # fails where there is nothing for unknown words
    if not tokenizer.is_fast:
        raise ModelError(f"{path}: not a tokenizer of the tokenizers library")
    ends = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    if None in ends:
        raise ModelError(f"{path}: lacks a [CLS], [SEP] or [PAD]")
    highest = max(tokenizer.get_vocab().values())
    if highest >= config.vocab_size:
        raise ModelError(
            f"{path}: has token {highest}; the model's vocabulary ends at"
            f" {config.vocab_size - 1}"
        )
    return tokenizer


def marker_ids(tokenizer) -> list[int]:
    """Give the token ids of an entity's marker, of a tokenizer of transformers."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True  # as for all that the classifier reads
    backend.no_padding()  # which some tokenizers come with
    return backend.encode(MARKER, add_special_tokens=False).ids


def freeze_tokenizer(directory: Path) -> None:
    """Write down what the tokenizer does today, as ``tokenizer.json`` and its config.

    So that a library's new default does not change it tomorrow.

    :raises ModelError: when *directory* does not hold a model's config and tokenizer.
    """
    _quieten()
    config = _read_config(directory)
    tokenizer = _read_tokenizer(directory, config)
    tokenizer.model_max_length = min(
        tokenizer.model_max_length, config.max_position_embeddings
    )
    tokenizer.save_pretrained(directory)


def _quieten() -> None:
    """Keep transformers from commenting on what we report in one line."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)


@lru_cache(maxsize=1)
def load_classifier(settings: Settings) -> AssertionClassifier | Beside:
    """Load and warm up the classifier, once for each process.

    :raises ModelError: in one line, when there is nothing sound to load.
    """
    return make_classifier(settings)


def make_classifier(settings: Settings) -> AssertionClassifier | Beside:
    """Load and warm up a classifier.

    The embedded model answers the axes beside a model that has none.

    :raises ModelError: in one line, when there is nothing sound to load.
    """
    classifier = _load(settings)
    if not settings.axes or classifier.headed:
        return classifier
    beside = _load(replace(settings, model="embedded"), labelled=False)
    return Beside(classifier, beside) if beside.headed else classifier


def _load(settings: Settings, labelled: bool = True) -> AssertionClassifier:
    # One thread until Gunicorn has forked: OpenMP's threads do not survive a fork,
    # and a worker that inherits a started pool hangs in its first forward pass
    # (https://github.com/pytorch/pytorch/issues/49555). More than one brings less
    # than independent forward passes anyway.
    torch.set_num_threads(1)
    keep_freed_tensors()
    model = settings.model
    directory = directory_of(model, settings.model_revision, settings.models_dir)
    if is_hub_id(model) and not directory.exists():
        fetch = "make model, or negation-api model fetch"
        raise ModelError(f"MODEL={model}: not in {directory}; fetch it: {fetch}")
    artefact = verify(directory)
    _quieten()
    config = _read_config(directory)
    if not settings.axes:
        config.axes = {}
    if not settings.early_exit:
        config.exits = {}
    tokenizer = _read_tokenizer(directory, config)
    int8 = _is_int8(settings, config)
    network, heads, exits = _read_network(directory, config)
    marker = marker_ids(tokenizer)
    if can_pack(config):
        last = tuple(heads.values())
        forward = PackedBert(network, int8, last, exits, marker, labelled)
    else:
        forward, heads = PaddedNetwork(network, tokenizer.pad_token_id), {}
    axes = {axis: config.axes[axis] for axis in heads}
    precision = "int8" if int8 else "fp32"
    classifier = AssertionClassifier(
        forward, config, tokenizer, marker, artefact, precision, axes
    )
    with _naming(directory / WEIGHTS):
        classifier.classify([classifier.encode("denies [entity] pain [entity]")])
    log.info("model loaded", extra={"model": artefact.name})
    return classifier


def _is_int8(settings: Settings, config) -> bool:
    """Tell whether to compute in int8: if that is asked for, and the CPU can.

    :raises ModelError: when no network of this kind can.
    """
    if settings.precision != "int8":
        return False
    if not can_pack(config):
        raise ModelError(
            f"PRECISION=int8 is for BERT only; MODEL={settings.model} is another"
        )
    if reason := why_not():
        log.error("int8 cannot be computed; fp32 instead", extra={"error": reason})
    return not reason

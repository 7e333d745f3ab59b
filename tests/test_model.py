"""The classifier: equal to the reference, and refused when it is not sound.

Torch is imported by the fixtures, so that collecting these tests costs nothing.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from negation_api.model.artefact import EMBEDDED, ModelError, write_manifest
from negation_api.settings import Settings
from negation_api.text.markers import EntityTooLong, MarkerError, SentenceTooLong

ROOT = Path(__file__).parent.parent
TOLERANCE = 1e-4  # of a probability, at fp32
LABELS = {"PRESENT", "ABSENT", "POSSIBLE"}
MODEL_DIR = os.environ.get("MODEL_DIR")

# What random sentences are made of: notes, and what ends up in them.
PIECES = """
    the patient denies any fever chills chest pain shortness of breath and no
    cough or nausea has had history mild severe possible pneumonia ruled out
    Absent on in with without for is was The PATIENT Denies ANY No NO LEFT lung
    heart b.i.d. q.d. p.o. 1.5 mg 120/80 98.6F 12,000 (CT) [CT] - -- ; : , . ...
    ? ! % + / \\ # @ & * _ ~ ^ = | < > ' " ` naïve Ménière façade Σίσυφος сердце
    心臓 発熱 心 🩺 👩‍⚕️ ﬁbrosis e\u0301 İ ß ﬀ ½ µg º isn't wouldn't x-ray follow-up
    s/p w/o c/o ?TIA **NAME[AAA] [**2101-1-1**] entity Entity entity] [entities
    unentity antidisestablishmentarianism \u00ad \u200b \ufeff
""".split()
SPACES = [" "] * 12 + ["  ", "\t", "\n", "\r\n", "\xa0", "\u2009", "\u3000", "\x00", ""]
MARKERS = ["[entity]"] * 6 + ["[ENTITY]", "[Entity]"]


def sentences(count: int, seed: int = 20261123) -> list[str]:
    """Make *count* marked sentences of 1 to 60 pieces beside the entity."""
    chance = random.Random(seed)

    def words(most):
        return "".join(
            chance.choice(PIECES) + chance.choice(SPACES)
            for _ in range(chance.randint(0, most))
        )

    def mark():
        return chance.choice(MARKERS)

    made = [
        f"{words(30)}{mark()} {chance.choice(PIECES)} {words(3)}{mark()}{words(30)}"
        for _ in range(count)
    ]
    return made + ["x" * 150 + "[entity] fever [entity]", "[entity]fever[entity]"]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A toy repository with exactly the published file set."""
    from toy import write_bert

    directory = write_bert(tmp_path_factory.mktemp("published") / "toy")
    names = {path.name for path in directory.iterdir()}
    assert names == {"config.json", "vocab.txt", "model.safetensors"}
    return directory


@pytest.fixture
def directory(published, tmp_path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(published, tmp_path / "toy"))


@pytest.fixture(scope="module")
def classifier(published):
    return load(published)


@pytest.fixture(scope="module")
def vocabulary(published) -> list[str]:
    return (published / "vocab.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def pieces(classifier, vocabulary):
    """Give the pieces of a sentence's row, both ends included, as words."""

    def encode(sentence: str, marked: bool = True) -> list[str]:
        return [vocabulary[i] for i in classifier.encode(sentence, marked)]

    return encode


def load(directory: Path, **settings):
    from negation_api.model.classifier import load_classifier

    load_classifier.cache_clear()  # a test may have changed the same directory
    return load_classifier(Settings(model=str(directory), axes=False, **settings))


def refusal(directory: Path) -> str:
    """Give the one line with which a model is refused."""
    with pytest.raises(ModelError) as refused:
        load(directory)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    return message


def edit_weights(directory: Path, edit) -> None:
    """Let *edit* change the dictionary of tensors."""
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def edit_config(directory: Path, **members) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


# --- equal to the reference ---------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[
        "published",
        pytest.param(
            "embedded",
            marks=pytest.mark.skipif(
                not EMBEDDED.is_dir(), reason="negation_api/embedded is not there"
            ),
        ),
        pytest.param(
            "MODEL_DIR",
            marks=pytest.mark.skipif(
                not MODEL_DIR, reason="MODEL_DIR is not set to a model directory"
            ),
        ),
    ],
)
def model(request, published) -> Path:
    """Each model that must be equal to the reference."""
    places = {"embedded": EMBEDDED, "MODEL_DIR": Path(MODEL_DIR or "")}
    return places.get(request.param, published)


@pytest.fixture(scope="module")
def reference(model):
    """transformers' own pipeline for the same directory, all its defaults."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TextClassificationPipeline,
    )

    network = AutoModelForSequenceClassification.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    return TextClassificationPipeline(model=network, tokenizer=tokenizer, top_k=None)


def test_labels_and_scores_equal_the_reference(model, reference):
    """In batches of unlike lengths, where the reference takes one at a time.

    It knows no early exit.
    """
    ours = load(model, early_exit=False)
    marked = sentences(400)
    rows = [ours.encode(sentence) for sentence in marked]
    batches = [rows[first : first + 16] for first in range(0, len(rows), 16)]

    given = [one for batch in batches for one in ours.classify(batch)]

    wanted = [
        {score["label"].upper(): score["score"] for score in reference(sentence)[0]}
        for sentence in marked
    ]
    assert [one.label for one in given] == [max(w, key=w.get) for w in wanted]
    for one, scores in zip(given, wanted, strict=True):
        assert one.scores == pytest.approx(scores, abs=TOLERANCE)
    assert len(set(map(len, rows))) > 30
    assert {one.label for one in given} == LABELS


def test_a_classifier_that_is_no_bert_equals_the_reference_too(tmp_path):
    """It is computed by transformers itself, padded."""
    import torch
    from toy import ID2LABEL, write_vocabulary
    from transformers import ElectraConfig, ElectraForSequenceClassification
    from transformers import TextClassificationPipeline

    size = write_vocabulary(tmp_path)
    config = ElectraConfig(
        vocab_size=size,
        id2label=ID2LABEL,
        num_hidden_layers=2,
        hidden_size=32,
        embedding_size=16,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.6,
    )
    torch.manual_seed(3)
    network = ElectraForSequenceClassification(config).eval()
    network.save_pretrained(tmp_path)
    ours = load(tmp_path)
    marked = sentences(60, seed=4)

    given = ours.classify([ours.encode(sentence) for sentence in marked])

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    reference = TextClassificationPipeline(
        model=network, tokenizer=tokenizer, top_k=None
    )
    for one, sentence in zip(given, marked, strict=True):
        wanted = {s["label"]: s["score"] for s in reference(sentence)[0]}
        assert one.scores == pytest.approx(wanted, abs=TOLERANCE)
    with pytest.raises(ModelError, match="PRECISION=int8 is for BERT only"):
        load(tmp_path, precision="int8")


FORKS = """
import os, sys, threading
from negation_api.model.classifier import load_classifier
from negation_api.settings import Settings

classifier = load_classifier(Settings(model=sys.argv[1], axes=False))
row = classifier.encode("denies [entity] pain [entity]")

def classify(barrier, done):
    barrier.wait()
    done.append(classifier.classify([row]))

def child():
    classifier.after_fork()
    barrier, done = threading.Barrier(8), []
    threads = [threading.Thread(target=classify, args=(barrier, done)) for _ in "8" * 8]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    os._exit(len(done) != 8)

failed = 0
for _ in range(60):
    pid = os.fork()
    if not pid:
        child()
    failed += os.waitpid(pid, 0)[1] != 0
sys.exit(failed)
"""


def test_threads_of_a_forked_process_find_torch_ready(published):
    command = [sys.executable, "-c", FORKS, str(published)]
    run = subprocess.run(command, cwd=ROOT, timeout=120)
    assert run.returncode == 0


def test_token_ids_equal_the_reference(model, reference):
    ours = load(model)
    marked = sentences(400, seed=2)

    given = [list(ours.encode(sentence)) for sentence in marked]

    assert given == [reference.tokenizer(sentence).input_ids for sentence in marked]


def test_frozen_tokenizer_equals_the_default_one(directory):
    """Control tokens included: freezing changes nothing at all."""
    from transformers import AutoTokenizer

    from negation_api.model.classifier import freeze_tokenizer

    default = AutoTokenizer.from_pretrained(directory)
    texts = sentences(400, seed=3) + ["a [SEP] b", "[CLS]", "[MASK] [PAD] [UNK]", ""]
    wanted = [default(text).input_ids for text in texts]

    freeze_tokenizer(directory)
    (directory / "vocab.txt").unlink()
    frozen = AutoTokenizer.from_pretrained(directory)

    assert [frozen(text).input_ids for text in texts] == wanted
    assert frozen.model_max_length == 512


def test_marker_is_three_pieces_and_everything_is_lower_cased(pieces):
    given = pieces("Patient DENIES [Entity] Fever [ENTITY].")

    marker = "[ entity ]"
    assert given == f"[CLS] patient denies {marker} fever {marker} . [SEP]".split()


def test_markers_are_found_whatever_the_tokenizer_pads_to(published, directory):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(published, local_files_only=True)
    tokenizer.backend_tokenizer.enable_padding(length=128)
    tokenizer.save_pretrained(directory)
    classifier = load(directory)
    with pytest.raises(MarkerError):
        classifier.encode("[entity] fever [entity] [entity]")
    assert classifier.encode("[entity] fever [entity]") == load(published).encode(
        "[entity] fever [entity]"
    )


@pytest.mark.skipif(not MODEL_DIR, reason="MODEL_DIR is not set to ClinicalBERT")
def test_model_card_s_example():
    """https://huggingface.co/bvanaken/clinical-assertion-negation-bert"""
    classifier = load(Path(MODEL_DIR))
    sentence = (
        "The patient recovered during the night and now denies any"
        " [entity] shortness of breath [entity]."
    )

    (prediction,) = classifier.classify([classifier.encode(sentence)])

    assert prediction.label == "ABSENT"
    assert prediction.score == pytest.approx(0.9842607378959656, abs=TOLERANCE)


# --- rows and windows ---------------------------------------------------------


CONTROL = {"[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]"}
ENTITY = "[ entity ] chest pain [ entity ]".split()


@pytest.mark.parametrize("control", sorted(CONTROL))
def test_control_tokens_in_a_text_are_plain_pieces(pieces, control):
    given = pieces(f"denies {control} [entity] fever {control} [entity] now")

    assert (given[0], given[-1]) == ("[CLS]", "[SEP]")
    assert not CONTROL & set(given[1:-1])
    assert given.count("[") == 4


def long_sentence(before: int, after: int, entity: str = "chest pain") -> str:
    return f"{'no ' * before}[entity] {entity} [entity]{' cough' * after}"


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (251, 251, (251, 251)),  # 510 pieces: all of them
        (251, 252, (251, 251)),
        (1000, 1000, (251, 251)),
        (0, 1000, (0, 502)),
        (1000, 0, (502, 0)),
        (100, 1000, (100, 402)),
        (1000, 3, (499, 3)),
    ],
)
def test_long_sentence_is_cut_to_a_window_round_the_entity(pieces, before, after, kept):
    """What one side does not need, the other takes; 512 with both ends."""
    given = pieces(long_sentence(before, after))

    window = ["no"] * kept[0] + ENTITY + ["cough"] * kept[1]
    assert given == ["[CLS]", *window, "[SEP]"]
    assert len(given) == 512


def test_window_holds_the_entity_whatever_its_case_and_neighbours(pieces):
    """Offsets survive what the tokenizer folds, drops and splits."""
    sentence = (
        "Ménière 🩺 " * 400 + "x[ENTITY]CHEST Pain[Entity]y" + " 心臓\u200b" * 400
    )

    given = pieces(sentence)

    assert len(given) == 512
    at = next(i for i in range(512) if given[i : i + len(ENTITY)] == ENTITY)
    assert at == 1 + (510 - len(ENTITY)) // 2


def test_window_is_classified(classifier):
    rows = [classifier.encode(long_sentence(n, 600)) for n in (0, 300, 600)]

    predictions = classifier.classify(rows)

    assert [sum(p.scores.values()) for p in predictions] == pytest.approx([1, 1, 1])


def test_longest_entity_that_fits(pieces):
    """504 pieces, and twice three for the markers."""
    given = pieces(long_sentence(5, 5, "fever " * 504))

    assert given.count("fever") == 504
    assert len(given) == 512


def test_entity_that_cannot_fit_is_refused_with_both_numbers(classifier):
    with pytest.raises(EntityTooLong) as refused:
        classifier.encode(long_sentence(5, 5, "fever " * 505))

    assert "511 tokens" in str(refused.value)
    assert "at most 510" in str(refused.value)
    assert "fever" not in str(refused.value)


def test_unmarked_sentence_is_never_cut(classifier):
    assert len(classifier.encode("cough " * 510, marked=False)) == 512

    with pytest.raises(SentenceTooLong) as refused:
        classifier.encode("cough " * 511, marked=False)

    assert "511 tokens; at most 510" in str(refused.value)


def test_longest_row_is_the_model_s_own(tmp_path, vocabulary):
    """Not a constant: a model with 64 positions reads 64 tokens."""
    from toy import write_bert

    classifier = load(write_bert(tmp_path / "short", max_position_embeddings=64))

    ids = classifier.encode(long_sentence(100, 100))

    assert classifier.max_tokens == len(ids) == 64
    assert [vocabulary[i] for i in ids[28:36]] == ENTITY
    classifier.classify([ids])


def test_neighbours_in_a_batch_change_nothing(classifier):
    """Padding is masked, whoever is the longest."""
    rows = [classifier.encode(sentence) for sentence in sentences(30, seed=4)]

    together = classifier.classify(rows)

    for row, prediction in zip(rows, together):
        (alone,) = classifier.classify([row])
        assert prediction.scores == pytest.approx(alone.scores, abs=1e-5)


# --- labels -------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("PRESENT", "ABSENT", "POSSIBLE"),
        ("possible", "present", "absent"),
        ("Absent", "POSSIBLE", "Present"),
    ],
)
def test_labels_are_the_model_s_own_in_any_case_and_order(classifier, directory, names):
    edit_config(directory, id2label=dict(enumerate(names)))
    row = classifier.encode("denies [entity] fever [entity]")
    (usual,) = classifier.classify([row])

    renamed = load(directory)
    (prediction,) = renamed.classify([row])

    assert renamed.labels == tuple(name.upper() for name in names)
    assert list(prediction.scores) == [name.upper() for name in names]
    assert list(prediction.scores.values()) == list(usual.scores.values())


@pytest.mark.parametrize(
    "id2label",
    [
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
        {0: "PRESENT", 1: "ABSENT"},
        {0: "PRESENT", 1: "ABSENT", 2: "POSSIBLE", 3: "HYPOTHETICAL"},
        {0: "PRESENT", 1: "ABSENT", 2: "present"},
        {0: "PRESENT", 1: "ABSENT", 2: "UNCERTAIN"},
    ],
)
def test_other_labels_are_refused_by_name(directory, id2label):
    edit_config(directory, id2label=id2label)

    told = refusal(directory)

    assert told.startswith(f"{directory / 'config.json'}: the model's labels are ")
    assert ", ".join(id2label.values()) in told
    assert told.endswith("must be exactly ABSENT, POSSIBLE, PRESENT")


def test_labels_that_skip_a_number_are_refused(directory):
    edit_config(directory, id2label={0: "PRESENT", 1: "ABSENT", 5: "POSSIBLE"})

    assert "PRESENT, ABSENT, POSSIBLE" in refusal(directory)


# --- what is refused at start -------------------------------------------------


def test_missing_directory_is_named(tmp_path):
    missing = tmp_path / "gone"

    assert refusal(missing) == f"{missing}: no such model directory"


def test_manifest_that_does_not_match_names_the_file(directory):
    write_manifest(directory, "toy", None)
    (directory / "vocab.txt").write_text("[PAD]\n")

    told = refusal(directory)

    assert told == f"{directory / 'vocab.txt'}: differs from the manifest"


def truncate(path: Path):
    path.write_bytes(path.read_bytes()[:-1000])


def scramble(path: Path):
    path.write_bytes(b"\xff" * 1000)


def empty(path: Path):
    path.write_bytes(b"")


def pickled(path: Path):
    import torch

    torch.save({"classifier.weight": torch.zeros(3)}, path)


@pytest.mark.parametrize("damage", [truncate, scramble, empty, pickled])
def test_damaged_weights_are_named(directory, damage):
    path = directory / "model.safetensors"
    damage(path)

    assert refusal(directory).startswith(f"{path}: cannot be loaded: ")


@pytest.mark.parametrize(
    "tensor", ["classifier.weight", "classifier.bias", "bert.pooler.dense.weight"]
)
def test_weights_that_lack_a_tensor_are_refused(directory, tensor):
    """transformers would go on with random numbers in its place."""
    edit_weights(directory, lambda tensors: tensors.pop(tensor))

    path = directory / "model.safetensors"
    assert refusal(directory) == f"{path}: lacks {tensor}"


def test_weights_of_another_size_are_refused(directory):
    edit_config(directory, hidden_size=64)

    path = directory / "model.safetensors"
    assert refusal(directory).startswith(f"{path}: cannot be loaded: ")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(directory, number):
    """An answer must never be made of NaN."""
    edit_weights(directory, lambda t: t["classifier.weight"].fill_(number))

    told = refusal(directory)

    path = directory / "model.safetensors"
    assert told.startswith(f"{path}: cannot be loaded: ")
    assert told.endswith("not a number")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_nan_after_the_start_is_an_error_never_a_number(value):
    import torch
    from transformers import BertConfig, BertTokenizerFast

    from negation_api.model.classifier import AssertionClassifier, marker_ids

    class Spoilt:
        def __call__(self, rows):
            return torch.tensor([[0.0, float(value), 1.0]] * len(rows)), None

    tokenizer = BertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1})
    labels = dict(enumerate(LABELS))
    config = BertConfig(id2label=labels)
    marker = marker_ids(tokenizer)
    spoilt = AssertionClassifier(Spoilt(), config, tokenizer, marker, None, "fp32")

    with pytest.raises(ModelError):
        spoilt.classify([[1, 1]])


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"model_type": "no-such-type"}', "\x00"]
)
def test_damaged_config_is_named(directory, content):
    path = directory / "config.json"
    path.write_text(content)

    assert refusal(directory).startswith(f"{path}: cannot be loaded: ")


def test_missing_config_is_named(directory):
    path = directory / "config.json"
    path.unlink()

    assert refusal(directory).startswith(f"{path}: ")


def test_code_of_a_repository_is_never_run(directory):
    """Nor is anyone asked whether to: a start has nobody at the keyboard."""
    (directory / "evil.py").write_text(
        f"open({str(directory / 'ran')!r}, 'w')\nclass Config: pass\nclass Net: pass\n"
    )
    edit_config(
        directory,
        model_type="unheard-of",
        auto_map={
            "AutoConfig": "evil.Config",
            "AutoModelForSequenceClassification": "evil.Net",
        },
    )

    assert refusal(directory).startswith(f"{directory / 'config.json'}: ")
    assert not (directory / "ran").exists()


def test_missing_vocabulary_is_named(directory):
    """transformers would go on with a vocabulary of control tokens."""
    path = directory / "vocab.txt"
    path.unlink()

    assert refusal(directory) == f"{path}: missing"


@pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
def test_damaged_tokenizer_is_named(directory, content):
    path = directory / "tokenizer.json"
    path.write_text(content)

    assert refusal(directory).startswith(f"{path}: ")


def test_vocabulary_larger_than_the_model_s_is_refused(directory):
    """Its last words would fall outside the embedding, at some request."""
    path = directory / "vocab.txt"
    with path.open("a") as file:
        file.write("one\ntwo\nthree\n")

    assert refusal(directory).startswith(f"{path}: has token ")


def test_vocabulary_without_control_tokens_is_refused(directory):
    path = directory / "vocab.txt"
    path.write_text("fever\npain\n")

    assert refusal(directory).startswith(f"{path}: ")


def test_hub_id_that_was_not_fetched_says_how_to(tmp_path):
    from negation_api.model.classifier import load_classifier

    settings = Settings(model="owner/name", models_dir=str(tmp_path), axes=False)

    with pytest.raises(
        ModelError, match="fetch it: make model, or negation-api model fetch$"
    ) as refused:
        load_classifier(settings)

    assert str(refused.value).startswith("MODEL=owner/name: ")


def test_same_settings_give_the_same_classifier(published):
    """Loaded once in the master, and shared by the workers it forks."""
    from negation_api.model.classifier import load_classifier

    settings = Settings(model=str(published), axes=False)

    assert load_classifier(settings) is load_classifier(settings)

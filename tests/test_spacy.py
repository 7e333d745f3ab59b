"""The spaCy component, with the real spaCy, medspaCy and negspacy.

Run by the Python of ``.venv-spacy``, which has them (``make test-system``): medspaCy
wants older packages than the service.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import warnings
from itertools import permutations

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of theirs, while they are imported
    import medspacy
    import spacy
    from medspacy.ner import TargetRule
    import negspacy.negation  # noqa: F401  registers its factory
    from spacy.tokens import Doc, Span

import negation_api
from negation_api.spacy import EXTENSIONS, set_extensions
from server import ROOT, Server

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("default")]

TEXT = (
    "Denies fever. Her mother has asthma. History of gout. Possible pneumonia."
    " Return if you develop chest pain. Has a cough. 😀"
)
TERMS = ["fever", "asthma", "gout", "pneumonia", "chest pain", "cough"]
FLAGS = [
    "is_negated",
    "is_uncertain",
    "is_historical",
    "is_hypothetical",
    "is_family",
]
EXPECTED = {
    "fever": ("ABSENT", {"is_negated"}),
    "asthma": ("PRESENT", {"is_family"}),
    "gout": ("PRESENT", {"is_historical"}),
    "pneumonia": ("POSSIBLE", {"is_uncertain"}),
    "cough": ("PRESENT", set()),
}


def recogniser():
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PROBLEM", "pattern": term} for term in TERMS])
    return nlp


@pytest.fixture(scope="module")
def nlp():
    nlp = recogniser()
    nlp.add_pipe("negation_api")
    return nlp


@pytest.fixture(scope="module")
def answers(nlp):
    """Of the same model, asked in Python."""
    spans = [(TEXT.index(term), TEXT.index(term) + len(term)) for term in TERMS]
    return nlp.get_pipe("negation_api").predictor.predict(TEXT, spans)


def values(span) -> dict:
    return {name: span._.get(name) for name in EXTENSIONS}


def told(doc) -> list[dict]:
    return [values(ent) for ent in doc.ents]


# --- what is set ------------------------------------------------------------------


def test_the_attributes_of_entities_are_what_the_model_answers(nlp, answers):
    doc = nlp(TEXT)
    assert [ent.text for ent in doc.ents] == TERMS
    for ent, answer in zip(doc.ents, answers, strict=True):
        whose, when = answer.experiencer.label, answer.temporality.label
        score = ent._.assertion_score
        assert score == pytest.approx(answer.score, abs=1e-4)
        assert values(ent) == {
            "assertion": answer.label,
            "assertion_score": score,
            "experiencer": whose,
            "temporality": when,
            "holds": answer.holds,
            "is_negated": answer.label == "ABSENT",
            "negex": answer.label == "ABSENT",
            "is_uncertain": answer.label == "POSSIBLE",
            "is_historical": when == "HISTORICAL",
            "is_hypothetical": when == "HYPOTHETICAL",
            "is_family": whose == "FAMILY",
        }
        if ent.text in EXPECTED:
            label, flags = EXPECTED[ent.text]
            assert ent._.assertion == label
            assert flags <= {name for name in FLAGS if ent._.get(name)}
    assert doc.ents[4]._.is_hypothetical


def test_span_groups_have_them_too(answers):
    nlp = spacy.blank("en")
    config = {"ents": False, "groups": ["found", "more"]}
    component = nlp.add_pipe("negation_api", config=config)
    doc = nlp.make_doc(TEXT)
    spans = [doc.char_span(each.start, each.end, "PROBLEM") for each in answers]
    doc.ents = spans[:1]
    doc.spans["found"] = spans[1:] + spans[1:2] + [doc[0:2]]
    doc.spans["other"] = [doc[1:3]]
    component(doc)
    found = [span._.assertion for span in doc.spans["found"]]
    assert found == [each.label for each in answers[1:]] + ["PRESENT", found[-1]]
    assert doc.ents[0]._.assertion is None and doc.spans["other"][0]._.assertion is None


def test_a_document_with_nothing_in_it_is_as_it_was(nlp):
    assert [told(doc) for doc in nlp.pipe(["", "Well."])] == [[], []]


# --- many documents ---------------------------------------------------------------

TEXTS = [TEXT, "Well.", "No cough.", "", "Denies gout but has fever.", TEXT]


def test_many_are_answered_as_each_alone_also_by_two_processes(nlp):
    alone = [told(nlp(text)) for text in TEXTS]
    for options in ({}, {"batch_size": 2}, {"n_process": 2, "batch_size": 2}):
        found = list(nlp.pipe(TEXTS, **options))
        assert [doc.text for doc in found] == TEXTS
        for given, wanted in zip(map(told, found), alone, strict=True):
            for own, other in zip(given, wanted, strict=True):
                score = other.pop("assertion_score")
                assert own.pop("assertion_score") == pytest.approx(score, abs=1e-4)
                assert own == other
                other["assertion_score"] = score


def test_context_comes_along(nlp):
    pairs = [(text, number) for number, text in enumerate(TEXTS)]
    found = [context for _, context in nlp.pipe(pairs, as_tuples=True)]
    assert found == list(range(len(TEXTS)))


# --- disk -------------------------------------------------------------------------


def test_a_pipeline_is_written_and_read(nlp, tmp_path):
    nlp.to_disk(tmp_path)
    again = spacy.load(tmp_path)
    assert again.pipe_names == nlp.pipe_names
    assert told(again(TEXT)) == told(nlp(TEXT))


def test_a_document_is_written_and_read(nlp):
    doc = nlp(TEXT)
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert told(again) == told(doc)


# --- medspaCy and negspacy --------------------------------------------------------


def test_doc_consumer_exports_what_the_model_answers(answers):
    """In ConText's place, and after it, whose values it takes over."""
    for context in ([], ["medspacy_context"]):
        enabled = ["medspacy_pyrush", "medspacy_target_matcher", *context]
        nlp = medspacy.load(medspacy_enable=enabled)
        rules = [TargetRule(term, "PROBLEM") for term in TERMS]
        nlp.get_pipe("medspacy_target_matcher").add(rules)
        nlp.add_pipe("negation_api")
        nlp.add_pipe("medspacy_doc_consumer")
        rows = nlp(TEXT)._.get_data("ents", FLAGS, as_rows=True)
        assert rows == [
            (
                each.label == "ABSENT",
                each.label == "POSSIBLE",
                each.temporality.label == "HISTORICAL",
                each.temporality.label == "HYPOTHETICAL",
                each.experiencer.label == "FAMILY",
            )
            for each in answers
        ]


def test_it_takes_over_from_negspacy():
    nlp = recogniser()
    nlp.add_pipe("negex")
    nlp.add_pipe("negation_api")
    found = {ent.text: ent._.negex for ent in nlp(TEXT).ents}
    assert found == {term: term == "fever" for term in TERMS}


def negspacy_made():
    kinds = "pseudo_negations preceding_negations following_negations termination"
    few = {kind: ["no"] for kind in kinds.split()}  # its own take seconds to compile
    spacy.blank("en").add_pipe("negex", config={"neg_termset": few})


ORDERS = list(permutations([set_extensions, medspacy.set_extensions, negspacy_made]))


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: "-".join(f.__name__ for f in o))
def test_they_may_come_in_any_order(order):
    for name in [*EXTENSIONS]:
        if Span.has_extension(name):
            Span.remove_extension(name)
    for each in order:
        each()
    span = spacy.blank("en")("fever")[0:1]
    assert values(span) == EXTENSIONS


def test_an_attribute_that_cannot_be_set_is_told_when_it_is_made():
    old = Span.remove_extension("assertion")
    Span.set_extension("assertion", getter=len)
    try:
        with pytest.raises(ValueError, match="Span._.assertion is there already"):
            spacy.blank("en").add_pipe("negation_api", config={"url": "http://x"})
    finally:
        Span.remove_extension("assertion")
        Span.set_extension("assertion", default=old[0])


# --- a service, and an installed package ------------------------------------------

KEY = "a key of no importance"


@pytest.fixture(scope="module")
def server():
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    env = {"WEB_CONCURRENCY": "1", "API_KEYS_SHA256": digest}
    with Server(env=env, app="light:app", args=("--pythonpath", "tests")) as server:
        yield server


@pytest.fixture
def remote(server, monkeypatch):
    monkeypatch.setenv("NEGATION_API_KEY", KEY)
    nlp = recogniser()
    nlp.add_pipe("negation_api", config={"url": server.url})
    yield nlp
    close(nlp)


def close(nlp) -> None:
    nlp.get_pipe("negation_api").predictor.close()


def test_a_service_answers_many_documents_at_once(server, remote):
    """It has no axes; what another component said of them stays."""
    before = len(server.log(event="request", route="/predict"))
    texts = [f"Denies cough for {number} days." for number in range(50)]
    for number, doc in enumerate(remote.pipe([*texts, "Well."])):
        for ent in doc.ents:
            assert (ent._.assertion, ent._.assertion_score) == ("ABSENT", 0.75)
            assert ent._.negex and ent._.holds is None and ent._.is_family is False
    assert number == 50
    lines = server.log(event="request", route="/predict")[before:]
    assert sum(line["rows"] for line in lines) == 50
    assert len(lines) == 1


def test_two_processes_ask_it(remote):
    docs = remote.pipe(["Denies cough."] * 6, n_process=2, batch_size=2)
    assert [doc.ents[0]._.assertion for doc in docs] == ["ABSENT"] * 6


def test_the_key_is_not_written(remote, tmp_path):
    remote.to_disk(tmp_path)
    assert all(KEY not in p.read_text() for p in tmp_path.rglob("*.cfg"))
    again = spacy.load(tmp_path)
    assert again("Denies cough.").ents[0]._.negex
    close(again)


def test_without_a_key_the_service_says_so(server, monkeypatch):
    monkeypatch.delenv("NEGATION_API_KEY", raising=False)
    nlp = recogniser()
    nlp.add_pipe("negation_api", config={"url": server.url})
    with pytest.raises(negation_api.ServiceError, match="401"):
        nlp("Denies cough.")
    close(nlp)


def test_an_installed_package_needs_no_import(server, tmp_path):
    """By the entry point that ``pyproject.toml`` declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = tmp_path / "negation_api-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: negation-api\nVersion: 0\n")
    (factory,) = project["entry-points"]["spacy_factories"].items()
    (info / "entry_points.txt").write_text(
        "[spacy_factories]\n{} = {}\n".format(*factory)
    )
    code = f"""
import json, spacy
nlp = spacy.blank("en")
nlp.add_pipe("entity_ruler").add_patterns([{{"label": "X", "pattern": "cough"}}])
nlp.add_pipe("negation_api", config={{"url": {server.url!r}}})
print(json.dumps([ent._.assertion for ent in nlp("Denies cough.").ents]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NEGATION_API_KEY": KEY},
        capture_output=True,
        text=True,
    )
    assert done.stdout and json.loads(done.stdout) == ["ABSENT"], done.stderr


# --- what cannot be answered ------------------------------------------------------


@pytest.fixture
def empty(remote):
    """A document with an empty span among others, and the component to ask."""
    component = remote.get_pipe("negation_api")
    component.groups = ["found"]
    doc = remote.make_doc(TEXT)
    doc.spans["found"] = [doc[1:2], doc[3:3]]
    return component, doc


def test_an_empty_span_is_refused_with_its_place(empty):
    component, doc = empty
    with pytest.raises(ValueError) as refused:
        component(doc)
    place = doc[3:3].start_char, doc[3:3].end_char
    assert str(refused.value) == (
        f"doc.spans['found'][1]: Must be above start, {place[0]}; given {place[1]}."
    )


def test_an_error_handler_has_the_others_answered(empty):
    (component, bad), failed = empty, []
    component.set_error_handler(
        lambda name, proc, docs, error: failed.append((name, docs, str(error)))
    )
    good = [Doc(bad.vocab).from_bytes(bad.to_bytes()) for _ in range(2)]
    for doc in good:
        doc.spans["found"] = [doc[1:2]]
    assert list(component.pipe([good[0], bad, good[1]])) == good
    assert [doc.spans["found"][0]._.assertion for doc in good] == ["ABSENT"] * 2
    assert [(name, docs) for name, docs, _ in failed] == [("negation_api", [bad])]
    assert "fever" not in failed[0][2]


# --- docs/spacy.md ----------------------------------------------------------------


def test_the_page_s_code_does_what_it_says(capsys):
    page = (ROOT / "docs" / "spacy.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, {})
        shown = re.findall(r"^# (.*)$", code, re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == shown
    rows = re.findall(r"^\| `ent\._\.(\w+)`", page, re.MULTILINE)
    assert sorted(rows) == sorted(EXTENSIONS)

"""The three lines of Python: a model here and a service elsewhere, asked alike."""

import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
from werkzeug.serving import make_server

import negation_api
from conftest import AxesClassifier, KeywordClassifier, running
from negation_api import Answer, Choice, Client, Cue, Invalid, Model, ServiceError
from negation_api.library.local import NO_LIMIT
from negation_api.settings import Settings

NOTE = "Denies fever. Mother had asthma."
SPANS = [(7, 12), (25, 31)]
SETTINGS = Settings(inference_threads=1, max_documents=100)


@contextmanager
def served(classifier, settings=SETTINGS):
    """Give the address of a service that has *classifier*."""
    with running(settings, classifier) as app:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def service():
    with served(AxesClassifier()) as url:
        yield url


@pytest.fixture(params=["model", "client"])
def predictor(request):
    """The same questions to both."""
    if request.param == "model":
        yield Model(AxesClassifier(), replace(SETTINGS, **NO_LIMIT))
    else:
        with Client(request.getfixturevalue("service")) as client:
            yield client


# --- answers ---------------------------------------------------------------------


def test_each_span_has_its_answer(predictor):
    fever, asthma = predictor.predict(NOTE, SPANS)
    assert (fever.text, fever.start, fever.end) == ("fever", 7, 12)
    assert (fever.label, fever.score, fever.holds) == ("ABSENT", 0.75, False)
    assert fever.scores == {"PRESENT": 0.25, "ABSENT": 0.75, "POSSIBLE": 0.0}
    assert (asthma.text, asthma.label) == ("asthma", "PRESENT")
    assert isinstance(asthma.experiencer, Choice)
    assert (asthma.experiencer.label, asthma.experiencer.score) == ("FAMILY", 0.75)
    assert asthma.temporality.label == "CURRENT"
    assert asthma.holds is False


def test_an_answer_stays_as_it_was_given(predictor):
    (answer,) = predictor.predict("Denies fever.", [(7, 12)])
    with pytest.raises(FrozenInstanceError):
        answer.text = "pain"


def test_no_span_has_no_answer(predictor):
    assert predictor.predict(NOTE, []) == []
    assert list(predictor.predict_many([])) == []
    assert list(predictor.predict_many([(NOTE, iter(()))])) == [[]]


def test_options_are_those_of_a_request(predictor):
    (answer,) = predictor.predict("Denies fever.", [(7, 12)], axes=False)
    assert answer.experiencer is answer.temporality is answer.holds is None
    assert answer.cues is answer.context is answer.section is answer.fhir is None
    asked = dict(explain=True, fhir=True, section="Complaints")
    (answer,) = predictor.predict("Denies fever.", [(7, 12)], **asked)
    assert answer.section == "Complaints"
    assert "[entity] fever [entity]" in answer.context
    assert answer.cues == {"label": (Cue("Denies", 0, 6),)}
    assert answer.fhir["verificationStatus"]["coding"][0]["code"] == "refuted"


@pytest.mark.parametrize("unit, place", [("utf16", (9, 14)), ("utf8", (11, 16))])
def test_offsets_count_what_they_are_said_to(predictor, unit, place):
    note = "\N{SNEEZING FACE} Denies fever."
    options = dict(offset_unit=unit, explain=True)
    (answer,) = predictor.predict(note, [(place[0] + 1, place[1] + 1)], **options)
    assert answer.text == "fever"
    assert [cue.text for cue in answer.cues["label"]] == ["Denies"]


def test_spans_may_be_entities_of_a_request(predictor):
    entity = {"start": 7, "end": 12, "id": "e1", "text": "fever"}
    (answer,) = predictor.predict(NOTE, [entity])
    assert (answer.id, answer.text) == ("e1", "fever")


def test_numbers_may_be_those_of_numpy(predictor):
    numpy = pytest.importorskip("numpy")
    assert predictor.predict(NOTE, numpy.array(SPANS))[1].text == "asthma"
    entity = dict(zip(("start", "end"), numpy.array(SPANS[1])))
    assert predictor.predict(NOTE, [entity])[0].text == "asthma"


def test_sentences_have_one_answer_each(predictor):
    marked = {"sentence": "He denies [entity]  chest pain [entity] now."}
    whole = {"sentence": "Denies pain. "}
    (first,), (second,) = predictor.predict_many([marked, whole])
    assert (first.text, first.start, first.end) == ("chest pain", 20, 30)
    assert (second.text, second.start, second.end) == ("Denies pain.", 0, 12)


def test_a_list_of_terms_may_stand_in_place_of_spans(predictor):
    document = {"text": NOTE, "terms": [{"term": "fever", "code": "R50.9"}, "asthma"]}
    ((fever, asthma),) = predictor.predict_many([document])
    assert (fever.text, fever.term, fever.code) == ("fever", "fever", "R50.9")
    assert (asthma.text, asthma.term, asthma.code) == ("asthma", "asthma", None)


TERMS = [{"term": "fever", "code": "R50.9"}, "asthma", "cough"]


@pytest.mark.parametrize("make", [list, iter])
def test_terms_may_be_given_in_place_of_spans(predictor, make):
    fever, asthma = predictor.predict(NOTE, terms=make(TERMS))
    assert (fever.text, fever.term, fever.code) == ("fever", "fever", "R50.9")
    assert (asthma.text, asthma.term, asthma.code) == ("asthma", "asthma", None)
    for answer, same in zip((fever, asthma), predictor.predict(NOTE, SPANS)):
        assert replace(answer, term=None, code=None) == same
    assert predictor.predict(NOTE, terms=[]) == []
    common = predictor.predict(NOTE, terms="common", explain=True)
    assert [answer.text for answer in common] == ["fever", "asthma"]
    assert common[0].cues["label"][0].text == "Denies"


def test_terms_are_sought_in_what_says_nothing_of_its_own(predictor):
    documents = [
        "No cough.",
        {"text": "No cough.", "id": 7},
        {"text": NOTE, "terms": ["Mother"]},
        (NOTE, SPANS[:1]),
        {"sentence": "No [entity] pain [entity]."},
        ("No cough.", [(3, 99)]),
    ]
    options = dict(terms=iter(TERMS), return_exceptions=True)
    *found, wrong = predictor.predict_many(documents, **options)
    words = [[(answer.text, answer.term) for answer in answers] for answers in found]
    cough = [("cough", "cough")]
    assert words == [cough, cough, [("Mother", "Mother")], [("fever", None)],
                     [("pain", None)]]  # fmt: skip
    assert str(wrong).startswith("#/documents/5/entities/0/end: At most 9")
    one = list(predictor.predict_many(documents[:1] * 3, terms=TERMS, explain=True))
    assert [answer.context for (answer,) in one] == ["No [entity] cough [entity]."] * 3


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"terms": ["fever", " - "]}, "#/terms/1: Must hold a letter or a digit."),
        ({"terms": "fever"}, "#/terms: Must be a list of terms"),
        ({"terms": {"fever": "R50"}}, "#/terms: Must be a list of terms"),
        ({"terms": 7}, "#/terms: Must be a list of terms"),
        ({"terms": [{"term": b"fever"}]}, "#/terms: Must hold only what JSON has."),
        ({"terms": TERMS, "spans": SPANS}, "#: Must have exactly one of: .*given 2"),
        ({}, "#: Must have exactly one of: spans, terms; given 0."),
    ],
)
def test_what_is_wrong_with_terms_is_of_no_document(predictor, given, place):
    with pytest.raises(Invalid, match=place):
        predictor.predict(NOTE, **given)
    if "spans" not in given and given:
        with pytest.raises(Invalid, match=place):
            list(predictor.predict_many([NOTE], **given, return_exceptions=True))


def test_an_answer_is_that_of_the_service(predictor, service):
    """All that a reply holds of an entity is there, and equal."""
    asked = {"text": NOTE, "explain": True, "fhir": True}
    asked["entities"] = [{"start": s, "end": e, "id": s} for s, e in SPANS]
    with Client(service) as client:
        reply = client._ask(asked)
    answers = predictor.predict(NOTE, asked["entities"], explain=True, fhir=True)
    for answer, status in zip(answers, reply["predictions"], strict=True):
        for name, value in status.items():
            given = getattr(answer, name)
            if isinstance(given, Choice):
                given = {n: getattr(given, n) for n in value}
            if name == "cues":
                given = {
                    question: [{"start": cue.start, "end": cue.end} for cue in cues]
                    for question, cues in given.items()
                }
            assert given == value, name


# --- many documents ----------------------------------------------------------------


def test_many_documents_are_answered_in_order(predictor):
    texts = [f"Note {n}: denies fever." for n in range(300)]
    spans = [(t.index("fever"), t.index("fever") + 5) for t in texts]
    found = list(predictor.predict_many(zip(texts, ([span] for span in spans))))
    assert [[(a.start, a.end)] for (a,) in found] == [[span] for span in spans]
    assert {a.label for (a,) in found} == {"ABSENT"}


def test_documents_are_computed_together_and_read_as_needed():
    classifier, read = KeywordClassifier(), []

    def notes():
        for number in count():
            read.append(number)
            yield f"No {number} fever", [
                (len(f"No {number} "), len(f"No {number} fever"))
            ]

    answers = Model(classifier, SETTINGS).predict_many(notes())
    assert not read
    next(answers)
    assert len(read) <= 1000
    assert max(map(len, classifier.batches)) > 20


# What is no valid document: itself, where that is said, and a part of what is.
WRONG = [
    ((NOTE, [(7, 7)]), "/entities/0/end", "Must be above start, 7; given 7."),
    ((NOTE, [(7, 12), (12, 7)]), "/entities/1/end", "above start, 12; given 7."),
    ((NOTE, [(7, 99)]), "/entities/0/end", "At most 32, the text's length; given 99."),
    ((NOTE, [(-1, 3)]), "/entities/0/start", "Must be at least 0; given -1."),
    ((NOTE, [(7,)]), "/entities/0", "Must be a pair of whole numbers, or a dict."),
    ((NOTE, [("7", "12")]), "/entities/0", "Must be a pair of whole numbers"),
    ((NOTE, [(7.5, 12)]), "/entities/0", "Must be a pair of whole numbers"),
    ((NOTE, [(6, 7)]), "/entities/0/start", "Must hold more than blanks."),
    ((NOTE, 7), "", "Must be a text and its spans, or a dict."),
    (NOTE, "", "Must be a text and its spans, or a dict."),
    (None, "", "Must be a text and its spans, or a dict."),
    ((None, []), "/text", "null"),
    (({1, 2}, []), "", ""),
    (("Half \ud800", [(0, 4)]), "/text", "Holds half of a surrogate pair, at 5."),
    ({"text": NOTE, "spans": []}, "", "unknown fields; known are"),
    ({"txt": NOTE}, "", "Must hold exactly one of"),
    ({"text": NOTE, "entities": [{"start": float("nan"), "end": 3}]}, "", ""),
    ({"sentence": "One [entity] marker."}, "/sentence", "Must hold exactly 2"),
    ({"documents": []}, "", "Must hold none of: axes, documents, explain, fhir, offs"),
    ({"text": NOTE, "entities": [], "offset_unit": "utf8"}, "", "Must hold none of"),
    ({"text": NOTE, "entities": [], "axes": False}, "", "they are of all documents."),
    *[
        (each, "", "Must hold only what JSON has.")
        for each in (
            (NOTE.encode(), SPANS),
            {"text": NOTE, "entities": [], "section": b"Lungs"},
            {"text": NOTE, "entities": [{"start": 7, "end": 12, "text": b"fever"}]},
            {"text": NOTE, "terms": [{"term": b"fever"}]},
            {"sentence": NOTE.encode()},
            (NOTE, [(7, 10**5000)]),
            (NOTE, [(-(10**5000), 12)]),
            {"text": NOTE, "entities": [{"start": 7, "end": 10**5000}]},
        )
    ],
]


@pytest.mark.parametrize("wrong, place, detail", WRONG)
def test_what_is_wrong_costs_its_document_only(predictor, wrong, place, detail):
    good = (NOTE, SPANS)
    documents = [good, good, wrong, good]
    found = list(predictor.predict_many(documents, return_exceptions=True))
    assert [len(f) for n, f in enumerate(found) if n != 2] == [2, 2, 2]
    assert isinstance(found[2], Invalid) and isinstance(found[2], ValueError)
    assert str(found[2]).startswith(f"#/documents/2{place}")
    assert detail in str(found[2])
    for words in ("fever", "asthma", "marker.", "Half"):
        assert words not in str(found[2])


@pytest.mark.parametrize("wrong, place, detail", WRONG)
def test_a_document_alone_is_refused_for_the_same(predictor, wrong, place, detail):
    (found,) = predictor.predict_many([wrong], return_exceptions=True)
    assert str(found).startswith(f"#/documents/0{place}") and detail in str(found)


@pytest.mark.parametrize(
    "one", ["No fever.", b"No fever.", {"text": NOTE, "entities": []}]
)
def test_one_document_in_place_of_many_is_refused(predictor, one):
    with pytest.raises(Invalid, match="#/documents: Must be a list of documents"):
        list(predictor.predict_many(one, terms=TERMS, return_exceptions=True))


def test_what_reading_documents_raises_comes_after_the_answers_before_it(predictor):
    def documents():
        yield NOTE, SPANS
        yield NOTE, SPANS[:1]
        raise OSError("the disk is gone")

    answers = predictor.predict_many(documents())
    assert [len(next(answers)), len(next(answers))] == [2, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(answers)


def test_what_is_wrong_is_raised_after_the_answers_before_it(predictor):
    answers = predictor.predict_many([(NOTE, SPANS), (NOTE, [(5, 2)]), (NOTE, SPANS)])
    assert len(next(answers)) == 2
    with pytest.raises(Invalid, match="#/documents/1/entities/0/end"):
        next(answers)


@pytest.mark.parametrize("wrong, place, detail", WRONG[:7])
def test_one_document_says_where_too(predictor, wrong, place, detail):
    with pytest.raises(ValueError) as caught:
        predictor.predict(*wrong)
    assert str(caught.value).startswith(f"#{place}")
    assert detail in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_option_that_is_none_is_refused(predictor):
    with pytest.raises(Invalid, match="#/offset_unit: Must be one of: codepoint"):
        predictor.predict(NOTE, SPANS, offset_unit="bytes")
    with pytest.raises(TypeError):
        predictor.predict(NOTE, SPANS, explian=True)


class FailingClassifier(AxesClassifier):
    """Cannot compute what holds "crash"."""

    def classify(self, rows):
        if any("crash" in self._sentence(row) for row in rows):
            raise RuntimeError("about crash and fever")
        return super().classify(rows)


def test_a_failure_of_the_model_costs_its_document_only():
    documents = [(NOTE, SPANS), ("A crash.", [(2, 7)]), (NOTE, SPANS)]
    model = Model(FailingClassifier(), SETTINGS)
    with served(FailingClassifier()) as url, Client(url) as client:
        for predictor, kind in (
            (model, negation_api.ModelError),
            (client, ServiceError),
        ):
            first, failed, last = predictor.predict_many(
                documents, return_exceptions=True
            )
            assert len(first) == len(last) == 2
            assert isinstance(failed, kind)
            assert "fever" not in str(failed)
            assert failed.__notes__ == ["in document 1"]


# --- a model here ------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(toy_model):
    return negation_api.load(toy_model, cpus=2)


def test_what_cannot_be_loaded_is_said(tmp_path, toy_model):
    with pytest.raises(negation_api.ModelError, match="no such model directory"):
        negation_api.load(tmp_path / "missing")
    with pytest.raises(negation_api.SettingError, match="must be one of fp32, int8"):
        negation_api.load(toy_model, precision="int4")


def test_the_environment_says_nothing_of_a_model(toy_model, monkeypatch):
    monkeypatch.setenv("AXES", "off")
    monkeypatch.setenv("MAX_ENTITIES", "1")
    model = negation_api.load(toy_model)
    assert [each.holds is None for each in model.predict(NOTE, SPANS)] == [False] * 2
    assert model.describe()["name"] == "toy"


def test_many_entities_of_one_text_are_no_request(model):
    text = "Pain. " * 1500
    spans = [(6 * n, 6 * n + 4) for n in range(1500)]
    assert len(model.predict(text, spans)) == 1500


def texts(number: int) -> list:
    notes = [
        f"The patient denies pain{' and cough' * (n % 40)}." for n in range(number)
    ]
    return [(note, [(19, 23), (len(note) - 5, len(note) - 1)]) for note in notes]


def test_threads_may_ask_one_model_at_once(model):
    documents = texts(60)
    alone = [model.predict(*document) for document in documents]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda document: model.predict(*document), documents))
        many = list(pool.map(lambda _: list(model.predict_many(documents)), range(4)))
    for answers in (together, *many):
        assert_near(answers, alone)


def assert_near(given, wanted):
    """Batches differ, so the last bits of scores may."""
    for left, right in zip(given, wanted, strict=True):
        assert [a.text for a in left] == [a.text for a in right]
        for a, b in zip(left, right):
            assert a.scores == pytest.approx(b.scores, abs=1e-4)


def answer_in_child(model, documents, pipe):
    pipe.send([list(model.predict_many(documents)), model.predict(*documents[0])])


def test_a_forked_process_may_have_the_model(model):
    documents = texts(40)
    wanted = list(model.predict_many(documents))
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=answer_in_child, args=(model, documents, theirs))
    child.start()
    assert ours.poll(100), "the child hangs"
    many, one = ours.recv()
    child.join(20)
    assert child.exitcode == 0
    assert_near([*many, one], [*wanted, wanted[0]])


def test_a_model_may_be_sent_to_another_process(model):
    """It is loaded there anew."""
    sent = pickle.dumps(model)
    assert len(sent) < 2000
    documents = texts(3)
    wanted = list(model.predict_many(documents))
    assert_near(pickle.loads(sent).predict_many(documents), wanted)


# --- a service elsewhere -----------------------------------------------------------


class Fake(BaseHTTPRequestHandler):
    """Answers with what the test has put into ``server.replies``, in turn."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.headers, json.loads(body)))
        replies = self.server.replies
        status, headers, reply = replies.pop(0) if len(replies) > 1 else replies[0]
        raw = json.dumps(reply).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(raw)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(raw)
        self.close_connection = self.server.hangs_up

    def log_message(self, *args):
        pass


@pytest.fixture
def fake():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    server.connections, server.seen, server.replies = 0, [], []
    server.hangs_up = False
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


NO_ANSWERS = 200, {}, {"predictions": [], "model": {}}
FULL = {"title": "The service has as much to do as it may take on.", "status": 429}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", [{"Retry-After": "0"}, {}])
def test_a_full_service_is_asked_again(fake, status, header):
    fake.replies += [(status, header, FULL), (status, header, FULL), NO_ANSWERS]
    with Client(fake.url) as client:
        assert client.predict("Pain", []) == []
    assert len(fake.seen) == 3


def test_it_waits_as_long_as_it_is_told(fake):
    fake.replies += [(429, {"Retry-After": "1"}, FULL), NO_ANSWERS]
    started = time.monotonic()
    with Client(fake.url) as client:
        client.predict("Pain", [])
    assert time.monotonic() - started >= 1


def test_it_does_not_wait_longer_than_its_timeout(fake):
    fake.replies.append((429, {"Retry-After": "60"}, FULL))
    with Client(fake.url, timeout=2) as client:
        with pytest.raises(ServiceError, match="^429: The service has") as caught:
            client.predict("Pain", [])
    assert caught.value.status == 429
    assert len(fake.seen) == 1


def test_connections_are_kept_and_the_key_is_sent(fake):
    fake.replies.append(NO_ANSWERS)
    with Client(fake.url + "/", api_key="a key") as client:
        for _ in range(5):
            client.predict("Pain", [])
    assert fake.connections == 1
    assert fake.seen[0][0]["Authorization"] == "Bearer a key"
    assert "key" not in repr(client)


def test_a_kept_connection_that_is_closed_is_opened_again(fake):
    fake.replies.append(NO_ANSWERS)
    fake.hangs_up = True
    with Client(fake.url) as client:
        for _ in range(3):
            client.predict("Pain", [])
    assert len(fake.seen) == 3


@pytest.mark.parametrize(
    "status, body",
    [(200, "no object"), (200, {}), (404, {}), (502, "<html>"), (401, [])],
)
def test_another_answer_is_an_error_without_the_text(fake, status, body):
    fake.replies.append((status, {}, body))
    with Client(fake.url) as client:
        with pytest.raises(ServiceError) as caught:
            client.predict("Denies fever", [(7, 12)])
    assert caught.value.status == status
    assert "fever" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).status == status


def test_nobody_there_is_an_error_of_one_line():
    with Client("http://127.0.0.1:1") as client:
        with pytest.raises(ServiceError, match=r"cannot be asked \(ConnectError\)"):
            client.predict("Denies fever", [(7, 12)])
    with pytest.raises(ServiceError, match="cannot be asked"):
        Client("localhost").predict("Denies fever", [(7, 12)])


def test_what_is_too_much_for_one_request_is_asked_in_several():
    few = replace(SETTINGS, max_documents=3, max_entities=4, max_body_bytes=1000)
    documents = [(NOTE, SPANS), ("x" * 2000, [(0, 9)]), *[(NOTE, SPANS)] * 9]
    with served(AxesClassifier(), few) as url, Client(url) as client:
        found = list(client.predict_many(documents, return_exceptions=True))
    assert [len(f) for n, f in enumerate(found) if n != 1] == [2] * 10
    assert str(found[1]).startswith("#/documents/1: At most 1000 bytes are read;")


def test_a_forked_process_opens_its_own_connections(fake):
    fake.replies.append(NO_ANSWERS)
    with Client(fake.url) as client:
        client.predict("Pain", [])
        child = multiprocessing.get_context("fork").Process(
            target=client.predict, args=("Pain", [])
        )
        child.start()
        child.join(20)
        client.predict("Pain", [])
    assert child.exitcode == 0
    assert fake.connections == 2


def test_it_says_which_model_answers(service):
    with Client(service) as client:
        model = Model(AxesClassifier(), SETTINGS)
        assert client.describe() == model.describe()
        assert pickle.loads(pickle.dumps(client)).predict(NOTE, SPANS)


# --- the package -------------------------------------------------------------------


def test_a_client_needs_no_torch():
    code = (
        "import sys, negation_api; negation_api.Client; print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.check_output(run, text=True) == "False\n"


def test_the_names_are_those_that_can_be_imported():
    assert set(negation_api.__all__) == set(negation_api._PLACES)
    for name in negation_api.__all__:
        assert getattr(negation_api, name).__name__ == name
        assert name in dir(negation_api)


def test_an_answer_is_a_prediction_of_the_service():
    assert issubclass(Answer, negation_api.contract.labels.Prediction)

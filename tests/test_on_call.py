"""docs/on-call.md: what its queries ask for is in the log."""

import json
import logging
import re
from pathlib import Path

import pytest

from negation_api.contract.cnlpt import QUESTIONS
from negation_api.http.telemetry import JSONFormatter

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "on-call.md").read_text()
QUERIES = [
    " ".join(block.split())
    for block in re.findall(r"(?:^    .+\n)+", PAGE, re.MULTILINE)
]
WORDS = "filter fields stats sort by as and or in like desc count sum avg max pct bin"
# Of the lines that are no request's, and CloudWatch's own.
OTHERS = {"error", "place", "seconds", "@logStream"}


@pytest.fixture
def lines(client, caplog) -> list[dict]:
    """What the service logs of a request that is answered and one that is not."""
    with caplog.at_level(logging.INFO):
        client.post("/predict", json={"sentence": "denies [entity] pain [entity]"})
        client.post("/predict", json={})
    said = [json.loads(JSONFormatter().format(record)) for record in caplog.records]
    return [line for line in said if line["event"] == "request"]


def names(query: str) -> set[str]:
    """Give the fields that a query speaks of."""
    made = set(re.findall(r"\bas (\w+)", query))
    bare = re.sub(r'"[^"]*"|/[^/]*/|\bbin\(\w+\)', "", query)
    words = set(re.findall(r"@?[A-Za-z_]\w*", bare))
    return words - made - set(WORDS.split())


def test_there_are_ten_questions():
    assert len(QUERIES) == 10
    assert re.findall(r"^\*\*(\d+)\.", PAGE, re.MULTILINE) == [
        str(n) for n in range(1, 11)
    ]


@pytest.mark.parametrize("query", QUERIES, ids=range(1, 11))
def test_every_field_that_is_asked_for_is_in_a_line(query, lines):
    assert {line["status"] for line in lines} == {200, 422}
    assert names(query)
    assert names(query) <= lines[0].keys() | OTHERS


@pytest.mark.parametrize("query", QUERIES, ids=range(1, 11))
def test_every_event_that_is_asked_for_is_one_of_the_service_s(query):
    package = ROOT / "negation_api"
    code = "".join(path.read_text() for path in package.rglob("*.py"))
    for listed in re.findall(r"event in \[(.*?)\]", query):
        for event in re.findall(r'"(.*?)"', listed):
            assert f'"{event}"' in code


def test_who_asks_for_predictions_asks_for_those_in_other_forms_too():
    dashboard = (ROOT / "infra" / "grafana.json").read_text()
    asked = re.findall(r'route in \[(.*?)\]|route = "', PAGE)
    asked += re.findall(r"route=.*?}", dashboard)
    assert len(asked) == 6
    for routes in asked:
        for route in ["/predict", *(question.path for question in QUESTIONS)]:
            assert route in routes


@pytest.mark.parametrize("name", sorted(OTHERS - {"@logStream"}))
def test_the_other_fields_are_written_somewhere(name):
    package = ROOT / "negation_api"
    code = "".join(path.read_text() for path in package.rglob("*.py"))
    assert f'"{name}":' in code or f'line["{name}"]' in code

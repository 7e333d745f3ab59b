"""What files and tables hold is what a reply holds, and what it is called stays."""

import pyarrow
import pytest

from negation_api.batch.columns import FLAT, MODEL, NOTE, SPARK, flat_rows
from negation_api.batch.columns import arrow_schema, spark_schema
from negation_api.contract import fhir
from negation_api.contract.labels import LABELS

NOTE_BODY = {
    "id": "n",
    "text": "Denies fever, has pain.",
    "entities": [{"start": 7, "end": 12, "id": 5}, {"start": 18, "end": 22}],
}
SENTENCE_BODY = {"id": 7, "sentence": "denies [entity] pain [entity]"}


def names(type_) -> list[str]:
    return [type_.field(index).name for index in range(type_.num_fields)]


def test_columns_keep_their_names_and_order():
    scores = ["PRESENT", "ABSENT", "POSSIBLE"]
    place = ["id", "entity_id", "start", "end"]
    assert list(NOTE)[:4] == ["line", "id", "marked", "predictions"]
    axes = ["experiencer", "temporality"]
    asked = ["fhir", "context", "section", "cues", "layers"]
    assert list(NOTE)[4:] == ["label", "score", "scores", *axes, "holds", *asked]
    assert list(FLAT)[:10] == ["line", *place, "label", "score", *scores]
    experiencer = ["experiencer", "experiencer_score", "PATIENT", "FAMILY", "OTHER"]
    kinds = ["CURRENT", "HISTORICAL", "HYPOTHETICAL"]
    temporality = ["temporality", "temporality_score", *kinds]
    assert list(FLAT)[10:-2] == [*experiencer, *temporality, "holds", *asked]
    assert list(FLAT)[-2:] == ["term", "code"]
    assert list(SPARK) == ["id", "predictions", "errors", "model"]


def test_spark_has_the_types_that_arrow_has():
    arrow = arrow_schema(pyarrow, SPARK)
    prediction = arrow.field("predictions").type.value_type
    assert prediction.field("start").type == pyarrow.int64()
    assert prediction.field("score").type == pyarrow.float64()
    assert names(prediction.field("scores").type) == list(LABELS)
    ddl = spark_schema(SPARK)
    struct = "array<struct<id: string, start: long, end: long, term: string,"
    struct += " code: string, label: string"
    assert ddl.startswith(f"id string, predictions {struct}, score: double,")
    model = "name: string, revision: string, sha256: string, precision: string"
    assert ddl.endswith(
        "errors array<struct<pointer: string, detail: string>>,"
        f" model struct<{model}, axes: struct<{model}>>"
    )
    one = "name string, revision string, sha256 string, precision string"
    assert spark_schema(MODEL) == f"{one}, axes struct<{model}>"


@pytest.mark.parametrize("explain", [False, True])
def test_a_reply_has_the_members_that_are_columns(axes_client, explain):
    """Those on request too, of which there is nothing unless they are asked for."""
    body = NOTE_BODY | {"explain": explain, "fhir": explain, "section": "Lungs"}
    prediction = axes_client.post("/predict", json=body).json["predictions"][0]
    missing = set() if explain else {"context", "section", "cues", "fhir"}
    missing |= {"term", "code", "layers"}  # of a list, and of a real model
    arrow = arrow_schema(pyarrow, SPARK).field("predictions").type.value_type
    assert set(names(arrow)) == set(prediction) | missing


@pytest.mark.parametrize("body, count", [(NOTE_BODY, 2), (SENTENCE_BODY, 1)])
def test_flat_rows_have_the_flat_columns(axes_client, body, count):
    reply = axes_client.post("/predict", json=body).json
    rows, entities = list(flat_rows(reply)), body.get("entities", [{}])
    assert len(rows) == count
    for row in rows:
        assert ["line", *row] == list(FLAT)
        assert row["id"] == body["id"]
    assert [row["entity_id"] for row in rows] == [e.get("id") for e in entities]
    assert rows[0]["ABSENT"] == 0.75


def test_every_label_has_a_code_of_fhir():
    assert set(fhir.CODES) == set(LABELS)

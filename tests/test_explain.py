"""``explain``: the reply holds what the model was fed."""


def test_context_is_the_marked_sentence_of_each_entity(client):
    body = {
        "text": "Has a cough.\nDenies fever and chills.",
        "entities": [{"start": 20, "end": 25}, {"start": 6, "end": 11}],
        "explain": True,
    }
    predictions = client.post("/predict", json=body).json["predictions"]
    assert [p["context"] for p in predictions] == [
        "Denies [entity] fever [entity] and chills.",
        "Has a [entity] cough [entity].",
    ]


def test_context_of_a_sentence_is_the_sentence(client):
    sentence = "denies [entity] pain [entity]"
    reply = client.post("/predict", json={"sentence": sentence, "explain": True}).json
    assert reply["context"] == sentence


def test_there_is_no_context_unless_asked(client):
    body = {"text": "Denies fever.", "entities": [{"start": 7, "end": 12}]}
    assert "context" not in client.post("/predict", json=body).json["predictions"][0]


def test_context_in_documents(client):
    note = {"text": "Denies fever.", "entities": [{"start": 7, "end": 12}]}
    body = {"documents": [note, {"sentence": ""}], "explain": True}
    answered, refused = client.post("/predict", json=body).json["documents"]
    context = "Denies [entity] fever [entity]."
    assert answered["predictions"][0]["context"] == context
    assert "context" not in refused

"""A row on which the model fails costs its own answer, and no other's."""

from hypothesis import given
from hypothesis import strategies as st

from negation_api.model.isolation import classify_each

ROWS = st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=1, max_size=40)


@given(ROWS)
def test_each_row_has_its_prediction_or_its_error(rows):
    calls = []

    def classify(batch):
        calls.append(batch)
        if any(fails for _, fails in batch):
            raise RuntimeError(batch)
        return [-number for number, _ in batch]

    results = classify_each(classify, rows)
    assert len(results) == len(rows)
    for (number, fails), result in zip(rows, results):
        assert isinstance(result, RuntimeError) if fails else result == -number
    num_failing = sum(fails for _, fails in rows)
    assert len(calls) <= 1 + 2 * num_failing * len(rows).bit_length()

"""Whatever is wrong with a file, each of its rows is answered or rejected."""

import csv
import io
import json
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import KeywordClassifier
from negation_api.batch.tables import InputError, read
from negation_api.contract.errors import Invalid
from negation_api.scoring import Answered, Scorer
from negation_api.settings import Settings

MAX_BYTES = 10_000
WORDS = st.sampled_from(
    'denies pain, fever cough "ok" 5" left\nPlan:\nrest \N{PILL} é'.split(" ")
)
# One that begins with a line's end or a comma has its quote between two cells.
STARTS = st.sampled_from(["Note", "\nNote", ", Note"])
TEXTS = st.builds(
    lambda start, words: " ".join([start, *words]), STARTS, st.lists(WORDS, max_size=12)
)


def read_rows(data: bytes, format: str = "csv") -> list:
    return list(read(format, io.BufferedReader(io.BytesIO(data)), False, MAX_BYTES))


def answered(format: str, data: bytes) -> tuple[list, Counter]:
    """Read and score *data*; give the ``(id, text)`` of answers, and the counts."""
    rows = read_rows(data, format)
    results = Scorer(KeywordClassifier(), Settings()).score([r.body for r in rows])
    assert len(results) == len(rows)
    answers = [r.document for r in results if isinstance(r, Answered)]
    lines = [row.line for row in rows]
    for row, following in zip(rows, lines[1:]):
        assert row.line + row.passed_over < following
    passed_over = sum(row.passed_over for row in rows)
    counts = Counter(
        rows=len(rows), rejected=len(rows) - len(answers), passed_over=passed_over
    )
    return [(answer.id, answer.text) for answer in answers], counts


# --- damage to a row -----------------------------------------------------------


def insert(what: bytes):
    return lambda row, at: row[:at] + what + row[at:]


def delete(what: bytes):
    def damage(row: bytes, at: int) -> bytes:
        at = row.find(what, at) if what in row[at:] else row.find(what)
        return row if at < 0 else row[:at] + row[at + len(what) :]

    return damage


IN_ONE_ROW = {
    "a quote too many": insert(b'"'),
    "a quote too few": delete(b'"'),
    "a cell too many": insert(b","),
    "a cell too few": delete(b","),
    "a NUL": insert(b"\0"),
    "another encoding": insert(b"\xe9\xff"),
    "cut": lambda row, at: row[:at].rstrip(b"\r\n") + b"\n",
    "another line's end": lambda row, at: row.rstrip(b"\r\n") + b"\r",
    "a BOM": insert(b"\xef\xbb\xbf"),
    "too long": insert(b"x" * 2 * MAX_BYTES),
    "a lone carriage return": insert(b"\r"),
}
DAMAGES = st.sampled_from(sorted(IN_ONE_ROW))


def csv_rows(texts: list[str], quoting: int = csv.QUOTE_MINIMAL) -> list[bytes]:
    """Write a row for each text, its id its number."""
    rows = []
    for number, text in enumerate(texts):
        file = io.StringIO(newline="")
        entities = json.dumps([{"start": 0, "end": 4}])
        csv.writer(file, quoting=quoting).writerow([str(number), text, entities])
        rows.append(file.getvalue().encode())
    return rows


def jsonl_rows(texts: list[str]) -> list[bytes]:
    entities = [{"start": 0, "end": 4}]
    return [
        json.dumps({"id": str(number), "text": text, "entities": entities}).encode()
        + b"\r\n"
        for number, text in enumerate(texts)
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TEXTS, min_size=1, max_size=8),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    DAMAGES,
    st.data(),
)
def test_a_damaged_row_of_csv_costs_no_other(texts, quoting, damage, data):
    rows = csv_rows(texts, quoting)
    hit = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(0, len(rows[hit].rstrip())))
    rows[hit] = IN_ONE_ROW[damage](rows[hit], at)
    answers, counts = answered("csv", b"id,text,entities\r\n" + b"".join(rows))
    others = [(str(n), text) for n, text in enumerate(texts) if n != hit]
    assert [each for each in answers if each in others] == others
    assert len(answers) + counts["rejected"] == counts["rows"]
    if "\n" not in "".join(texts) and damage != "a lone carriage return":
        blank = not rows[hit].strip()
        assert counts["rows"] + counts["passed_over"] == len(texts) - blank


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, st.none() | DAMAGES, st.integers(0, 99)), max_size=8),
    st.sampled_from(["csv", "jsonl"]),
)
def test_rows_are_answered_or_rejected_whatever_is_damaged(damaged, format):
    texts = [text for text, *_ in damaged]
    rows = csv_rows(texts) if format == "csv" else jsonl_rows(texts)
    for index, (_, damage, at) in enumerate(damaged):
        if damage:
            rows[index] = IN_ONE_ROW[damage](rows[index], at % len(rows[index]))
    header = b"id,text,entities\n" if format == "csv" else b""
    answers, counts = answered(format, header + b"".join(rows))
    assert len(answers) + counts["rejected"] == counts["rows"]
    whole = [(str(n), text) for n, (text, hit, _) in enumerate(damaged) if not hit]
    if format == "jsonl":  # where a line's end is a row's
        assert [each for each in answers if each in whole] == whole


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl"]), st.booleans())
def test_any_bytes_are_rows_or_no_file(data, format, with_header):
    header = b"id,text,entities\n" if with_header and format == "csv" else b""
    try:
        answers, counts = answered(format, header + data)
    except InputError:
        assert not header or data.startswith(b"\xff\xfe")
    else:
        assert len(answers) + counts["rejected"] == counts["rows"]


MANY = range(1, 200)
SWALLOWED = {  # header, a row that lacks a quote, the others, and one behind them
    "the number of cells is wrong": (
        "id,text,section",
        '0,"No fever, no cough,',
        [f"{n},No pain {n}," for n in MANY],
        '200,"\nNo pain",',
    ),
    "a comma begins a note": (
        "id,text,section",
        '0,"No fever no cough,',
        [f"{n},No pain {n}," for n in MANY],
        '200,", no pain",',
    ),
    "the number of cells is right": (
        "id,section,text",
        '0,,"No fever, no cough',
        [f"{n},,No pain {n}" for n in MANY],
        '200,,"\nNo pain"',
    ),
    "a row has one cell": (
        "text",
        '"No fever',
        [f"No pain {n}" for n in MANY],
        '"\nNo pain"',
    ),
}


@pytest.mark.parametrize("case", SWALLOWED)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quote_that_is_missing_costs_its_row_alone(case, end):
    header, broken, others, last = SWALLOWED[case]
    lines = [header, broken, *others, last, *others, ""]
    rows = read_rows(end.join(lines).encode())
    assert isinstance(rows[0].body, Invalid) and rows[0].line == 2
    assert not rows[0].passed_over
    assert len(rows) == 1 + len(others) + 1 + len(others)
    bodies = [row.body for row in rows[1:]]
    assert all(
        "No pain" in body["text"] or body["text"] == ", no pain" for body in bodies
    )
    assert {len(body["text"]) < 20 for body in bodies} == {True}


HONEST = [
    ["text", '"\nPlan:\nrest\n"', '"\nNo pain\n"', '"\nrest"', '"a"b"'],
    ["text", '"\nPlan:\nrest\n"', '"a"b"', '"\nrest"'],
    ["id,text", '1,"Rest, sleep\nfood,"', '2,"\nNo pain"', "3,No pain"],
    ["id,text", '1,"Rest, sleep\nPlan, rest"', '2,"No "pain""', "3,No pain"],
    ["text,id", '"Plan\nrest, sleep\n",1', '"\nNo pain\n",2', 'No "pain",3,'],
]


@pytest.mark.parametrize("lines", HONEST)
def test_a_note_of_lines_that_look_like_rows_is_a_note(lines):
    rows = read_rows("\n".join([*lines, ""]).encode())
    wanted = next(csv.DictReader(io.StringIO("\n".join(lines), newline="")))
    assert rows[0].body == wanted


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf", 2 * b"\xef\xbb\xbf"])
def test_a_line_ends_as_any_system_ends_it(format, end, bom):
    texts = ["Note one", "Note two", "Note three"]
    rows = csv_rows(texts) if format == "csv" else jsonl_rows(texts)
    header = b"id,text,entities\r\n" if format == "csv" else b""
    data = (header + b"".join(rows)).replace(b"\r\n", end.encode())
    answers, counts = answered(format, bom + data)
    assert counts["rows"] == 3 and not counts["rejected"]
    assert [text for _, text in answers] == texts


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_another_unicode_is_told(format, encoding):
    with pytest.raises(InputError, match="UTF-16; must be UTF-8"):
        answered(format, "id,text\n1,No pain".encode(encoding))


@pytest.mark.parametrize("header", [b"", b"\n", b'id,"text\n', b"id;text\n"])
def test_a_header_that_is_none_ends_the_run(header):
    with pytest.raises(InputError, match="line 1: "):
        answered("csv", header)


def test_rows_that_are_all_broken_take_no_longer_than_others():
    rows = b"".join(b'%d,"Note ""a"" %d,[]\n' % (n, n) for n in range(20_000))
    answers, counts = answered("csv", b"id,text,entities\n" + rows)
    assert not answers
    assert counts["rows"] + counts["passed_over"] == 20_000


# --- columns -------------------------------------------------------------------


def parquet_rows(**columns) -> list:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    texts = ["No pain", "No rash"]
    entities = [[{"start": 3, "end": 7}]] * 2
    table = {"text": texts, "entities": entities, **columns}
    pa.parquet.write_table(pa.table(table), file)
    return read_rows(file.getvalue(), "parquet")


FAR = {  # values that Python has no place for: Arrow's type, a value of it
    "date": ("date32", (), 4_000_000),
    "timestamp": ("timestamp", ("us",), 10**18),
    "zone": ("timestamp", ("us", "Mars/Phobos"), 1),
    "duration": ("duration", ("s",), 10**18),
}


def far(case):
    pa = pytest.importorskip("pyarrow")
    name, args, value = FAR[case]
    kind = getattr(pa, name)(*args)
    storage = pa.int32() if kind.bit_width == 32 else pa.int64()
    return pa, kind, pa.array([value, None], storage).view(kind)


@pytest.mark.parametrize("case", FAR)
def test_a_value_that_python_has_no_place_for_costs_its_row_alone(case):
    _, _, column = far(case)
    wrong, right = parquet_rows(id=column)
    ((path, detail),) = wrong.body.faults
    assert path == ("id",) and detail.startswith("Cannot be read (")
    assert right.body["text"] == "No rash"


@pytest.mark.parametrize("case", FAR)
def test_a_member_that_is_not_read_costs_nothing(case):
    pa, kind, column = far(case)
    members = {"start": [3, 3], "end": [7, 7], "at": column, "id": ["a", None]}
    struct = pa.StructArray.from_arrays(
        [column if name == "at" else pa.array(m) for name, m in members.items()],
        list(members),
    )
    entities = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), struct)
    one, two = (row.body["entities"] for row in parquet_rows(entities=entities))
    assert one == [{"start": 3, "end": 7, "id": "a"}]
    assert two == [{"start": 3, "end": 7}]


def test_a_decimal_that_is_whole_is_a_whole_number():
    whole, part = Decimal("38.0"), Decimal("0.5")
    entities = [[{"start": Decimal(3), "end": Decimal("7.0")}]] * 2
    first, second = parquet_rows(id=[whole, part], entities=entities)
    assert first.body["id"] == 38 and type(first.body["id"]) is int
    assert second.body["id"] == part
    assert first.body["entities"] == [{"start": 3, "end": 7}]


def test_columns_that_are_not_read_may_have_one_name():
    (row,) = read_rows(b"id,x,text,x,,\n5,1,No pain,2,,\n")
    assert row.body == {"id": "5", "text": "No pain"}
    with pytest.raises(InputError, match="two columns have the same name, text"):
        read_rows(b"id,text,text\n5,a,b\n")

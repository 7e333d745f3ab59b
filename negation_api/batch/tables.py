"""Files of notes in, files of predictions out: JSONL, CSV and Parquet.

A reader gives a :class:`Row` after the other. An encoder turns the answers to a block
into bytes, and a sink puts blocks one after the other into a file. Nothing here holds
more than a block.
"""

import csv
import io
import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from io import BufferedReader, TextIOWrapper
from itertools import chain, count
from typing import BinaryIO, NamedTuple, TextIO

from negation_api.batch import note_nlp
from negation_api.batch.columns import FLAT, NOTE, arrow_schema, flat_rows
from negation_api.batch.csv_rows import UTF8, CSVRows, lines_of
from negation_api.contract.errors import Invalid
from negation_api.contract.json import BadJSON, load_json
from negation_api.contract.reply import dump_model
from negation_api.scoring import Answered

UTF16 = BOM_UTF16_LE, BOM_UTF16_BE  # UTF-32's begins with the first
FORMATS = ("jsonl", "csv", "parquet")
SHAPES = {"note": NOTE, "flat": FLAT, "note_nlp": note_nlp.COLUMNS}  # of a row
# Stands for a row's number, known when all rows before it are. No text holds it.
NUMBER = "\0"
NOTE_COLUMNS = (
    "id",
    "text",
    "sentence",
    "entities",
    "offset_unit",
    "section",
    "patient_id",
)
# column of a row with one entity -> member of the entity
ENTITY_FIELDS = {
    "start": "start",
    "end": "end",
    "entity_id": "id",
    "entity_text": "text",
    "code": "code",
}
ENTITY_COLUMNS = ("id", "text", *ENTITY_FIELDS, "offset_unit", "section", "patient_id")
ENTITY_MEMBERS = "start", "end", "id", "text", "section", "code"
PARQUET_BATCH_ROWS = 256
PARQUET_BUFFER_BYTES = 1024 * 1024  # of a column; without it all of a row group
# What comes of values that Python has no place for, such as a date after 9999.
UNREADABLE = ValueError, ArithmeticError, LookupError, TypeError, NotImplementedError
ROW_GROUP_ROWS = 65_536  # few rows make Parquet slow to read, many take memory


class InputError(ValueError):
    """A file cannot be read at all; the message is one line."""


def import_pyarrow():
    """Import pyarrow, which only Parquet needs.

    :raises InputError: when it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            "Parquet needs pyarrow: pip install -r requirements-bulk.txt,"
            " or negation-api[parquet]"
        ) from None
    return pyarrow


# --- in -----------------------------------------------------------------------


class Row(NamedTuple):
    """A row of a file.

    :ivar line: on which it begins, or in Parquet its number; both from 1.
    :ivar body: what ``scoring.Scorer`` takes.
    :ivar passed_over: lines after it that no row could be made of.
    """

    line: int
    body: object
    passed_over: int = 0


def read(
    format: str,
    file: BufferedReader,
    one_entity: bool,
    max_bytes: int,
    names: Mapping[str, str] = {},
) -> Iterator[Row]:
    """Give the rows of *file*.

    :param one_entity: whether a row holds one entity, rather than a note.
    :param max_bytes: longest line of JSONL or cell of CSV that is held in memory.
    :param names: of columns of CSV and Parquet, and of those that they stand for.
    :raises InputError: when there is no going on.
    """
    if format == "parquet":
        yield from _read_parquet(file, one_entity, names)
        return
    if file.peek(2).startswith(UTF16):
        raise InputError("UTF-16; must be UTF-8")
    # Bytes that are no UTF-8 become halves of surrogate pairs, and go back to what
    # they were or are refused in the row where they stand.
    text = TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    try:
        read_text = _read_csv if format == "csv" else _read_jsonl
        yield from read_text(text, one_entity, max_bytes, names)
    finally:
        text.detach()  # or it would close the file, which is not its own


def note_of_entity(row: dict) -> dict:
    """Make the body of a row that holds one entity: text, start, end, entity_id.

    >>> note_of_entity({"id": 7, "text": "No pain.", "start": 3, "end": 7})
    {'id': 7, 'text': 'No pain.', 'entities': [{'start': 3, 'end': 7}]}
    """
    body = {key: value for key, value in row.items() if key not in ENTITY_FIELDS}
    entity = {new: row[old] for old, new in ENTITY_FIELDS.items() if old in row}
    return {**body, "entities": [entity]}


def _reshape(row, one_entity: bool):
    return note_of_entity(row) if one_entity and isinstance(row, dict) else row


def _read_jsonl(text: TextIO, one_entity: bool, max_bytes: int, _) -> Iterator[Row]:
    for line, (piece, size) in enumerate(lines_of(text, max_bytes), 1):
        if size > max_bytes:
            detail = f"At most {max_bytes} bytes are read; given {size}."
            yield Row(line, Invalid.at(detail))
        elif body := piece.encode(*UTF8).strip():
            yield Row(line, _load_entity(body) if one_entity else body)


def _load_entity(body: bytes):
    try:
        return _reshape(load_json(body), True)
    except BadJSON as error:
        return error


def _read_csv(text: TextIO, one_entity: bool, max_bytes: int, names) -> Iterator[Row]:
    columns = ENTITY_COLUMNS if one_entity else NOTE_COLUMNS
    rows = CSVRows(text, max_bytes)
    header = _check_header(rows.take() or [], columns, names)

    def load(cells):
        return _csv_row(header, cells, columns)

    def is_row(cells):
        return _is_row(load(cells))

    line = rows.number + 1
    while (cells := rows.take()) is not None:
        body = cells if isinstance(cells, Invalid) else load(cells)
        is_long = rows.num_lines > 1  # perhaps for want of a quote
        if is_long and isinstance(body, dict) and rows.hides_rows(is_row):
            body = Invalid.at("Not CSV: a quote is missing.")
        if isinstance(body, Invalid) and (is_long or body is cells):
            yield Row(line, body, rows.pass_over(is_row))
        elif cells:
            yield Row(line, _reshape(body, one_entity))
        line = rows.number + 1


def _is_row(row: dict | Invalid) -> bool:
    """Tell whether a row has all that can be told without the schemas."""
    if isinstance(row, Invalid):
        return False
    if not (row.get("text") or row.get("sentence") or "").strip():
        return False
    return not any(isinstance(row.get(key), str) for key in ("start", "end"))


def _check_header(cells, columns: tuple[str, ...], names) -> list[str]:
    """Give what each column is called here; one that another stands for, nothing."""
    if isinstance(cells, Invalid):
        raise InputError(f"line 1: {cells.faults[0][1]}")
    cells = [cell.lstrip("\ufeff") for cell in cells]
    for name in (*columns, *names):
        if cells.count(name) > 1:
            raise InputError(f"line 1: two columns have the same name, {name}")
    replaced = {names[cell] for cell in cells if cell in names}
    cells = [names.get(cell, "" if cell in replaced else cell) for cell in cells]
    if "text" not in cells and not ("sentence" in cells and "sentence" in columns):
        raise InputError(f"line 1: no column text; read are: {', '.join(columns)}")
    return cells


def _csv_row(header: list[str], cells: list[str], columns: tuple[str, ...]):
    if len(cells) != len(header):
        return Invalid.at(f"Must have {len(header)} cells; given {len(cells)}.")
    row = {k: v for k, v in zip(header, cells) if v != "" and k in columns}
    try:
        if "entities" in row:
            row["entities"] = load_json(row["entities"])
    except BadJSON as error:
        return Invalid.at(str(error), "entities")
    return {k: _number(v) if k in ("start", "end") else v for k, v in row.items()}


def _number(cell: str) -> int | str:
    """Read a whole number; leave anything else to the schemas' refusal."""
    digits = cell.strip()
    return int(digits) if digits.isdecimal() and len(digits) < 19 else cell


def _read_parquet(file: BinaryIO, one_entity: bool, names) -> Iterator[Row]:
    pyarrow = import_pyarrow()
    columns = ENTITY_COLUMNS if one_entity else NOTE_COLUMNS
    try:
        source = pyarrow.parquet.ParquetFile(file, buffer_size=PARQUET_BUFFER_BYTES)
        found = [n for n in source.schema_arrow.names if n in (*columns, *names)]
        called = zip(found, _check_header(found, columns, names))
        called = {name: ours for name, ours in called if ours}
        batches = source.iter_batches(
            PARQUET_BATCH_ROWS, columns=[*called], use_threads=False
        )
        batches = (batch.rename_columns(called) for batch in batches)
        rows = chain.from_iterable(map(rows_of, batches))
        for line, row in enumerate(rows, 1):
            yield Row(line, _reshape(row, one_entity))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"not Parquet ({type(error).__name__})") from None


def count_rows(file: BinaryIO) -> int:
    """Give the number of rows of a Parquet file, which stands at its end.

    :raises InputError: when it is none.
    """
    pyarrow = import_pyarrow()
    try:
        return pyarrow.parquet.read_metadata(file).num_rows
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"not Parquet ({type(error).__name__})") from None


def rows_of(batch) -> Iterator[dict | Invalid]:
    """Give the rows of a pyarrow.RecordBatch, less what is null in them."""
    names, columns = batch.schema.names, list(map(_read_members, batch.columns))
    try:
        rows = list(zip(*(column.to_pylist() for column in columns)))
    except UNREADABLE:  # somewhere: one by one
        rows = zip(*columns)
        yield from (_row_of(names, row) for row in rows)
    else:
        yield from (without_nulls(zip(names, row)) for row in rows)


def _row_of(names: list[str], cells: list) -> dict | Invalid:
    faults, row = [], {}
    for name, cell in zip(names, cells):
        try:
            row[name] = cell.as_py()
        except UnicodeDecodeError as error:
            faults.append(((name,), f"Not UTF-8 at byte {error.start}."))
        except UNREADABLE as error:
            faults.append(((name,), f"Cannot be read ({type(error).__name__})."))
    return Invalid(*faults) if faults else without_nulls(row.items())


def _read_members(column):
    """Leave out of a column of entities the members that are not read."""
    pa = import_pyarrow()
    kind = column.type
    if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return column
    fields = [field for field in kind.value_type if field.name in ENTITY_MEMBERS]
    if len({field.name for field in fields}) != max(len(fields), 1):
        return column
    return column.cast(pa.list_(pa.struct(fields)))


def without_nulls(members: Iterable[tuple[str, object]]) -> dict:
    """Make a row of its *members*, less what is null; of entities what is read."""
    row = {key: _plain(value) for key, value in members if value is not None}
    if isinstance(row.get("entities"), list):
        row["entities"] = [_entity(entity) for entity in row["entities"]]
    return row


def _entity(entity):
    if not isinstance(entity, dict):
        return entity
    return without_nulls((key, entity.get(key)) for key in ENTITY_MEMBERS)


def _plain(value):
    """Make a whole number of a decimal that is one, as databases export all numbers."""
    if isinstance(value, Decimal) and value.as_integer_ratio()[1] == 1:
        return int(value)
    return value


# --- out ----------------------------------------------------------------------


def rows_of_answer(line: int, answer: Answered, shape: str) -> list[dict]:
    """Give the rows that *answer* is in the shape ``note`` or ``flat``."""
    reply = answer.dump()
    replies = [reply] if shape == "note" else flat_rows(reply)
    return [{"line": line, **row} for row in replies]


def dump(format: str, rows: list[dict], shape: str) -> bytes:
    """Encode the rows of a block.

    :return: lines, or for Parquet a stream of Arrow's, which a sink makes Parquet of.
    """
    if format == "jsonl":
        rows = map(_present, rows) if shape == "flat" else rows
        return b"".join(map(_json, rows))
    if format == "csv":
        return _dump_csv(rows, shape)
    return _dump_parquet(rows, shape)


def _present(row: dict) -> dict:
    return {key: value for key, value in row.items() if value is not None}


def _json(value) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _dump_csv(rows: list[dict], shape: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow(_cell(row.get(name)) for name in SHAPES[shape])
    return text.getvalue().encode()


def _cell(value):
    is_nested = isinstance(value, (dict, list))
    return json.dumps(value, ensure_ascii=False) if is_nested else value


def _parquet_schema(shape: str):
    return arrow_schema(import_pyarrow(), SHAPES[shape])


def _dump_parquet(rows: list[dict], shape: str) -> bytes:
    pa = import_pyarrow()
    for row in rows:
        # A column has one type, and an id may be a string or an integer.
        for holder in (row, *row.get("predictions", ())):
            for key in ("id", "entity_id", "code"):
                if holder.get(key) is not None:
                    holder[key] = str(holder[key])
    return _stream(pa.RecordBatch.from_pylist(rows, schema=_parquet_schema(shape)))


def _stream(batch) -> bytes:
    sink = io.BytesIO()
    with import_pyarrow().ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def header_of(format: str, shape: str) -> bytes:
    """Give what a file begins with, before any block."""
    return (",".join(SHAPES[shape]) + "\r\n").encode() if format == "csv" else b""


def number(format: str, block: bytes, first: int) -> bytes:
    """Number the rows of a block of NOTE_NLP, from *first* on."""
    if format == "csv":
        _, *rows = block.split(NUMBER.encode())
        return b"".join(b"%d%b" % numbered for numbered in zip(count(first), rows))
    pa = import_pyarrow()
    with pa.ipc.open_stream(block) as stream:
        (batch,) = stream
    numbers = pa.array(range(first, first + len(batch)), pa.int32())
    return _stream(batch.set_column(0, batch.schema[0], numbers))


class Sink:
    """Puts encoded blocks one after the other into *file*."""

    def __init__(self, format: str, file: BinaryIO, shape: str, classifier):
        self._file = file
        self._writer = None
        self._batches, self._num_rows = [], 0  # of the next row group
        file.write(header_of(format, shape))
        if format == "parquet":
            pa = import_pyarrow()
            model = {"negation_api.model": json.dumps(dump_model(classifier))}
            schema = _parquet_schema(shape).with_metadata(model)
            self._writer = pa.parquet.ParquetWriter(file, schema)

    def add(self, block: bytes) -> None:
        """Append what ``dump`` gave for the next block."""
        if self._writer is None:
            self._file.write(block)
            return
        with import_pyarrow().ipc.open_stream(block) as stream:
            for batch in stream:
                self._batches.append(batch)
                self._num_rows += len(batch)
        if self._num_rows >= ROW_GROUP_ROWS:
            self._write_row_group()

    def _write_row_group(self) -> None:
        schema = self._writer.schema
        table = import_pyarrow().Table.from_batches(self._batches, schema)
        self._writer.write_table(table, row_group_size=max(1, self._num_rows))
        self._batches, self._num_rows = [], 0

    def close(self) -> None:
        """Write what belongs at the end; the file itself stays open."""
        if self._writer is not None:
            if self._batches:
                self._write_row_group()
            self._writer.close()
        self._file.flush()


def format_of(path: str, given: str | None) -> str:
    """Tell a file's format by its suffix, unless it is *given*.

    :raises InputError: when neither says.
    """
    suffix = path.rpartition(".")[2].lower()
    found = given or ("jsonl" if path == "-" else suffix)
    found = {"ndjson": "jsonl", "pq": "parquet"}.get(found, found)
    if found not in FORMATS:
        raise InputError(f"{path}: its format is none of {', '.join(FORMATS)}")
    return found

"""A list of terms from a file: one a line, or a table with columns term and code."""

import csv
import io
from pathlib import Path

from negation_api.batch.tables import UTF16, InputError
from negation_api.contract.listed import COMMON
from negation_api.text.terms import Finder, Term, common, faults

COLUMNS = ("term", "code")
TABLES = {".csv": ",", ".tsv": "\t"}
MAX_FAULTS = 10  # that are told


def read_terms(name: str, max_chars: int) -> Finder:
    """Make the finder of the list *name*, or give that of the common findings.

    :raises InputError: as :func:`read_list`.
    """
    return common() if name == COMMON else Finder(read_list(name, max_chars))


def read_list(name: str, max_chars: int) -> list[Term]:
    """Read the list *name*.

    A table is what is called so (``.csv``, ``.tsv``) or begins with a line of its
    columns; others than ``COLUMNS`` are passed over. Empty lines are too.

    :param max_chars: longest entity.
    :raises InputError: with the line of each term that cannot be sought.
    """
    found = _read(Path(name))
    lines, terms = [line for line, _ in found], [term for _, term in found]
    wrong = list(faults(terms, max_chars))
    if wrong:
        messages = [
            f"line {lines[i]}: {_with_line(detail, lines)}" for i, detail in wrong
        ]
        num_more = len(wrong) - MAX_FAULTS
        more = f"; and {num_more} more" if num_more > 0 else ""
        raise InputError(f"{name}: {' '.join(messages[:MAX_FAULTS])}{more}")
    if not terms:
        raise InputError(f"{name}: holds no term")
    return terms


def _with_line(detail: str, lines: list[int]) -> str:
    """Say the line of another term, in place of its number in the list."""
    before, at, number = detail.rpartition(" at ")
    return f"{before} in line {lines[int(number[:-1])]}." if at else detail


def _read(path: Path) -> list[tuple[int, Term]]:
    raw = path.read_bytes()
    if raw.startswith(UTF16):
        raise InputError(f"{path}: UTF-16; must be UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    delimiter, lines = TABLES.get(path.suffix.lower()), list(io.StringIO(text, None))
    first = lines[0].replace('"', "").split(",")[0] if lines else ""
    if delimiter is None and _names([first]) == [COLUMNS[0]]:
        delimiter = ","
    if delimiter:
        return _read_table(path, io.StringIO(text, newline=""), delimiter)
    written = ((line, text.strip()) for line, text in enumerate(lines, 1))
    return [(line, Term(text, text)) for line, text in written if text]


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _read_table(path: Path, file: io.StringIO, delimiter: str) -> list:
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    found = []
    try:
        header = _names(next(rows, []))
        if COLUMNS[0] not in header:
            known = ", ".join(COLUMNS)
            raise InputError(f"{path}: line 1: no column term; read are: {known}")
        for name in COLUMNS:
            if header.count(name) > 1:
                raise InputError(f"{path}: line 1: two columns are called {name}")
        for cells in rows:
            if any(map(str.strip, cells)):
                found.append((rows.line_num, _term(path, header, cells, rows.line_num)))
    except csv.Error as error:
        raise InputError(f"{path}: line {rows.line_num}: not CSV: {error}") from None
    return found


def _term(path: Path, header: list[str], cells: list[str], line: int) -> Term:
    if len(cells) != len(header):
        allowed = f"must have {len(header)} cells; given {len(cells)}"
        raise InputError(f"{path}: line {line}: {allowed}")
    row = dict(zip(header, map(str.strip, cells)))
    return Term(row["term"], row["term"], row.get("code") or None)

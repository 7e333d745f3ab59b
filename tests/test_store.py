"""Output and rejects are those of one run, wherever that was killed."""

import multiprocessing
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import KeywordClassifier
from negation_api.batch.store import Part, open_store
from negation_api.batch.tables import InputError, dump


class Killed(BaseException):
    """Stands in for a kill: nothing that runs after it writes."""


def job_in(directory, format="jsonl", overwrite=False):
    output, rejects = (str(Path(directory) / f"{n}.{format}") for n in ("out", "bad"))
    return SimpleNamespace(
        output=output,
        rejects=rejects,
        format_out=format,
        shape="flat",
        overwrite=overwrite,
    )


def part_of(block: str, format: str) -> Part:
    answers = dump(format, [], "flat") if format == "parquet" else block.encode()
    return Part(1, 2, 1, 0, answers, block.upper().encode())


def run(job, blocks, killed_before=None) -> list[str]:
    """Do *job*; give the blocks that were computed."""
    computed = []
    with open_store(job, KeywordClassifier()) as store:
        for number, block in enumerate(blocks):
            if number == killed_before:
                raise Killed
            part = store.get(block)
            if part is None:
                computed.append(block)
                part = part_of(block, job.format_out)
            store.put(block, part)
        if killed_before is not None:
            raise Killed
        store.finish()
    return computed


def written(job) -> tuple[bytes, bytes]:
    return Path(job.output).read_bytes(), Path(job.rejects).read_bytes()


def expected(blocks) -> tuple[bytes, bytes]:
    text = "".join(blocks)
    return text.encode(), text.upper().encode()


def names(directory) -> list[str]:
    return sorted(path.name for path in Path(directory).iterdir())


BLOCKS = st.lists(st.sampled_from(["a\n", "bb\n", "ccc\n"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(BLOCKS, BLOCKS, st.integers(0, 6), st.binary(max_size=9), st.booleans())
def test_a_run_goes_on_behind_what_it_shares_with_a_killed_one(
    first, second, kill, torn, same
):
    second = first if same else second
    with TemporaryDirectory() as directory:
        job = job_in(directory)
        with pytest.raises(Killed):
            run(job, first, kill)
        for path in Path(directory).iterdir():  # what was being written just then
            if path.suffix == ".journal" or first[:kill]:
                path.write_bytes(path.read_bytes() + torn.replace(b"\n", b""))
        shared = 0
        for one, other in zip(first[:kill], second):
            if one != other:
                break
            shared += 1
        assert run(job, second) == second[shared:]
        assert written(job) == expected(second)
        assert names(directory) == ["bad.jsonl", "out.jsonl"]


@pytest.fixture(params=range(4))
def left(request, tmp_path, monkeypatch):
    """What is left of a run that was killed at one of the steps of its end."""
    job, step = job_in(tmp_path), request.param
    replace, unlink, calls = Path.replace, Path.unlink, []

    def count(call, *args, **options):
        calls.append(call)
        if len(calls) > step:
            raise Killed
        return call(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *args: count(replace, *args))
        patch.setattr(Path, "unlink", lambda *args, **kw: count(unlink, *args, **kw))
        with pytest.raises(Killed):
            run(job, ["a\n", "bb\n"])
    assert Path(job.output + ".journal").exists()
    return job


def test_a_run_killed_at_its_end_is_ended(left, tmp_path):
    assert run(left, ["a\n", "bb\n"]) == []
    assert written(left) == expected(["a\n", "bb\n"])
    assert names(tmp_path) == ["bad.jsonl", "out.jsonl"]


@pytest.mark.parametrize(
    "others", [["ccc\n"], ["a\n", "ccc\n"], ["a\n"], ["a\n", "bb\n", "ccc\n"], []]
)
def test_what_such_a_run_left_is_no_leave_to_replace(left, others, tmp_path):
    files = [Path(left.rejects), Path(left.output)]
    before = {path: path.read_bytes() for path in files if path.exists()}
    if before:
        with pytest.raises(InputError, match="is there already"):
            run(left, others)
    assert before == {path: path.read_bytes() for path in before}
    left.overwrite = True
    run(left, others)
    assert written(left) == expected(others)
    assert names(tmp_path) == ["bad.jsonl", "out.jsonl"]


def test_what_is_there_is_not_replaced(tmp_path):
    job = job_in(tmp_path)
    run(job, ["a\n"])
    with pytest.raises(InputError, match="is there already"):
        run(job, ["bb\n"])
    assert written(job) == expected(["a\n"])
    assert names(tmp_path) == ["bad.jsonl", "out.jsonl"]
    job.overwrite = True
    assert run(job, ["bb\n"]) == ["bb\n"]
    assert written(job) == expected(["bb\n"])


def test_parts_that_went_are_computed_again(tmp_path):
    job = job_in(tmp_path)
    with pytest.raises(Killed):
        run(job, ["a\n", "bb\n"], 2)
    Path(job.output + ".part").write_bytes(b"a\n")
    assert run(job, ["a\n", "bb\n"]) == ["bb\n"]
    assert written(job) == expected(["a\n", "bb\n"])


def test_what_begins_a_file_stands_there_once(tmp_path):
    job = job_in(tmp_path, "csv")
    with pytest.raises(Killed):
        run(job, ["a\n"], 1)
    run(job, ["a\n", "bb\n"])
    head, *rows = Path(job.output).read_text().splitlines()
    assert head.startswith("line,id,entity_id") and rows == ["a", "bb"]


def test_parquet_is_made_at_the_end(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    job = job_in(tmp_path, "parquet")
    with pytest.raises(Killed):
        run(job, ["a"], 1)
    assert run(job, ["a", "b"]) == ["b"]
    assert parquet.read_table(job.output).num_rows == 0
    assert names(tmp_path) == ["bad.parquet", "out.parquet"]


def elsewhere(job) -> str:
    """Say what becomes of *job* in another process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def answer():
        try:
            theirs.send(str(run(job, ["bb\n"])))
        except InputError as error:
            theirs.send(str(error))

    child = context.Process(target=answer)
    child.start()
    child.join(20)
    return ours.recv()


@pytest.mark.parametrize("shared", ["output", "rejects", "rejects as output"])
def test_two_runs_do_not_share_a_file(tmp_path, shared):
    job, other = job_in(tmp_path), job_in(tmp_path)
    other.output, other.rejects = str(tmp_path / "o"), str(tmp_path / "r")
    if shared == "rejects as output":
        other.rejects = job.output
    else:
        setattr(other, shared, getattr(job, shared))
    with open_store(job, KeywordClassifier()) as store:
        assert elsewhere(other).endswith("another run is writing there")
        assert store.get("a\n") is None
        store.put("a\n", part_of("a\n", "jsonl"))
        store.finish()
    assert written(job) == expected(["a\n"])
    assert names(tmp_path) == ["bad.jsonl", "out.jsonl"]


def test_runs_that_print_do_not_share_their_rejects(tmp_path, capsysbinary):
    job = job_in(tmp_path, overwrite=True)
    job.output, job.summary = "-", False
    with open_store(job, KeywordClassifier()) as store:
        other = job_in(tmp_path, overwrite=True)
        assert elsewhere(other).endswith("another run is writing there")
        store.put("a\n", part_of("a\n", "jsonl"))
        store.finish()
    assert names(tmp_path) == ["bad.jsonl"]
    job.rejects = os.devnull
    with open_store(job, KeywordClassifier()) as store:
        store.finish()


OWN = [
    b"my diary\n", b"my diary", b"7\n", b"7", b"[]\n", b'{"a": 1}\n', b"\0\0", b"[\n",
    b'["a"]\n', b'["a", [1, 2, 3, 4], 0]\n', b'["a", [1, 2], 0, 0]\n', b"[" * 99_999,
    b'[7, [1, 2, 3, 4], 0, 0]\n', b'["a", [1, 2, 3, "4"], 0, 0]\n', b"\n",
    b'["a", [1, 2, 3, 4], 0, 0, 7]\n', b'["a", [1, 2, 3, 4], "0", 0, []]\n',
]  # fmt: skip


@pytest.mark.parametrize("own", OWN)
def test_what_is_no_journal_is_not_emptied(tmp_path, own):
    job, journal = job_in(tmp_path), tmp_path / "out.jsonl.journal"
    journal.write_bytes(own)
    with pytest.raises(InputError, match="out.jsonl.journal: is there already"):
        run(job, ["a\n"])
    assert journal.read_bytes() == own and names(tmp_path) == ["out.jsonl.journal"]
    job.overwrite = True
    run(job, ["a\n"])
    assert written(job) == expected(["a\n"])


@pytest.mark.parametrize("name", ["out.jsonl.part", "bad.jsonl.part", "out.jsonl.tmp"])
def test_what_no_run_left_beside_the_output_is_not_emptied(tmp_path, name):
    job = job_in(tmp_path)
    (tmp_path / name).write_text("my download")
    for _ in range(2):
        with pytest.raises(InputError, match=f"{name}: is there already"):
            run(job, ["a\n"])
    assert (tmp_path / name).read_text() == "my download"
    assert names(tmp_path) == [name]
    job.overwrite = True
    run(job, ["a\n"])
    assert written(job) == expected(["a\n"])


def test_somebody_s_own_lock_stays(tmp_path):
    (tmp_path / "out.jsonl.lock").write_text("mine")
    run(job_in(tmp_path), ["a\n"])
    assert (tmp_path / "out.jsonl.lock").read_text() == "mine"
    assert "bad.jsonl.lock" not in names(tmp_path)


@pytest.mark.parametrize("torn", [b"", b"[", b'["', b'["0123'])
def test_a_run_killed_before_its_first_block_counts_goes_on(tmp_path, torn):
    (tmp_path / "out.jsonl.journal").write_bytes(torn)
    (tmp_path / "out.jsonl.part").write_text("half a bl")
    assert run(job_in(tmp_path), ["a\n"]) == ["a\n"]
    assert written(job_in(tmp_path)) == expected(["a\n"])


def test_a_journal_of_the_last_release_is_one(tmp_path):
    """It has no tallies, and its blocks have other names."""
    (tmp_path / "out.jsonl.journal").write_text('["0a", [1, 2, 1, 0], 2, 2]\n')
    (tmp_path / "out.jsonl.part").write_text("0a")
    assert run(job_in(tmp_path), ["a\n"]) == ["a\n"]

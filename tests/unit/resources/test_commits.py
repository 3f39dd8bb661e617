"""The newest commits of a log, found as readers of Delta find them; Delta's own answer is in the integration test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

from resources.commits import (
    LAST_CHECKPOINT,
    BrokenLog,
    Commit,
    Provenance,
    added_files,
    commits_between,
    newest_commit,
)

TABLE = "gold_audit.sales"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "gold_audit.db" / "sales" / "_delta_log"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    return SubTreeFileSystem(str(tmp_path), LocalFileSystem())


def write(log: Path, version: int, operation: str = "WRITE", made: Provenance | None = None) -> None:
    about = {"operation": operation, **({"userMetadata": made.to_json()} if made else {})}
    lines = [{"add": {"path": "a.parquet"}}, {"commitInfo": about}]
    (log / f"{version:020}.json").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def of(number: int) -> Provenance:
    return Provenance("c", {"bronze.it's": str(number)})


def test_the_newest_commit_that_changed_rows_counts(log: Path, files: FileSystem):
    for number in range(3):
        write(log, number, made=of(number))
    for number, operation in enumerate(("OPTIMIZE", "VACUUM START", "VACUUM END"), start=3):
        write(log, number, operation)
    assert newest_commit(files, TABLE) == Commit(2, of(2))
    write(log, 6, "DELETE")
    assert newest_commit(files, TABLE) == Commit(6, None)


@pytest.mark.parametrize("pointer", [None, 0, 3])
def test_the_newest_of_any_number_is_found(log: Path, files: FileSystem, pointer: int | None):
    if pointer is not None:
        (log / LAST_CHECKPOINT).write_text(json.dumps({"version": pointer}), encoding="utf-8")
    for number in range(70):
        write(log, number)
        if number >= (pointer or 0):
            assert newest_commit(files, TABLE).version == number


def test_upkeep_alone_is_the_newest_that_there_is(log: Path, files: FileSystem):
    write(log, 0, "OPTIMIZE")
    assert newest_commit(files, TABLE) == Commit(0, None)


@pytest.mark.parametrize("pointer", [None, b"", b"{", b'{"size": 3}', b'{"version": 11}'])
def test_a_log_that_has_lost_its_first_commits_goes_on(log: Path, files: FileSystem, pointer: bytes | None):
    for number in range(11, 15):
        write(log, number, made=of(number))
    (log / f"{11:020}.checkpoint.parquet").touch()
    if pointer is not None:
        (log / LAST_CHECKPOINT).write_bytes(pointer)
    assert newest_commit(files, TABLE) == Commit(14, of(14))


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo": {"operation": "WRI'])
def test_a_torn_commit_is_named(log: Path, files: FileSystem, torn: bytes):
    write(log, 0)
    (log / f"{1:020}.json").write_bytes(torn)
    with pytest.raises(BrokenLog, match=r"Commit 1 of gold_audit\.sales is torn: `liftlake doctor`"):
        newest_commit(files, TABLE)


def test_a_table_that_was_never_written_is_named(files: FileSystem, log: Path):
    with pytest.raises(LookupError, match=r"gold_audit\.sales was never written"):
        newest_commit(files, TABLE)
    with pytest.raises(LookupError, match=r"gold_audit\.other was never written"):
        newest_commit(files, "gold_audit.other")


def test_a_commit_that_is_no_longer_kept_is_not_passed_over(log: Path, files: FileSystem):
    for number in (5, 6):
        write(log, number, made=of(number))
    write(log, 7, "OPTIMIZE")
    assert commits_between(files, TABLE, 4, 7) == [Commit(6, of(6)), Commit(5, of(5))]
    assert commits_between(files, TABLE, 3, 6) == [Commit(6, of(6)), Commit(5, of(5)), Commit(4, None)]
    assert commits_between(files, TABLE, 6, 6) == []


def added(path: str, **more: object) -> dict[str, object]:
    return {"add": {"path": path, "dataChange": True, "partitionValues": {}, **more}}


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([added("a%20b.parquet"), added("c.parquet")], ["a b.parquet", "c.parquet"]),
        ([], []),
        ([added("a.parquet"), {"remove": {"path": "b.parquet"}}], None),
        ([added("a.parquet", dataChange=False)], None),
        ([added("a.parquet", partitionValues={"week": "1"})], None),
        ([added("a.parquet", deletionVector={"cardinality": 1})], None),
    ],
)
def test_the_files_of_a_commit_are_its_rows_where_it_only_added(
    log: Path, files: FileSystem, actions: list[dict[str, object]], expected: list[str] | None
):
    lines = [*actions, {"commitInfo": {"operation": "WRITE"}}]
    (log / f"{0:020}.json").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = added_files(files, TABLE, 0)
    assert found == (None if expected is None else [f"gold_audit.db/sales/{name}" for name in expected])


def test_a_commit_that_is_no_longer_kept_tells_no_files(log: Path, files: FileSystem):
    write(log, 1)
    assert added_files(files, TABLE, 0) is None

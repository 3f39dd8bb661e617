"""The landing sensor's judgements: which files are complete, which weeks an ingest touched."""

from pathlib import Path

import dagster as dg

from assets.automation.sensors import complete_files, file_sizes, ingested_weeks
from resources.mapping import load_mapping

MAPPING = load_mapping("completejourney")


def test_a_file_is_read_only_when_it_stopped_growing(tmp_path: Path):
    file = tmp_path / "transactions_2018.parquet"
    file.write_bytes(b"half")
    first = file_sizes(tmp_path, MAPPING)
    assert complete_files(first, {}) == {}
    file.write_bytes(b"half and more")
    second = file_sizes(tmp_path, MAPPING)
    assert complete_files(second, first) == {}
    third = file_sizes(tmp_path, MAPPING)
    assert list(complete_files(third, second)) == [file.name]


def test_other_files_and_missing_folders_are_no_files(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    assert file_sizes(tmp_path, MAPPING) == {}
    assert file_sizes(tmp_path / "nowhere", MAPPING) == {}


def test_weeks_of_an_ingest_come_from_its_materialisations():
    @dg.asset
    def receipts() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"first_week": "2017-01-09", "last_week": "2017-01-16"})

    @dg.asset
    def lookups() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"files": "none"})

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([receipts, lookups], instance=instance)
        assert ingested_weeks(instance, done.run_id) == ("2017-01-09", "2017-01-16")
        nothing = dg.materialize([lookups], instance=instance)
        assert ingested_weeks(instance, nothing.run_id) is None

"""Every fault that the doctor names, made in a real table, and what its mend is worth."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources.champions import alias_finding
from resources.commits import LAST_CHECKPOINT, Provenance
from resources.lake import Lake
from resources.locks import file_lock
from resources.preconditions import Finding
from resources.registry import Registry
from resources.soundness import inspect_lake, inspect_table
from resources.table_files import LOG

pytestmark = pytest.mark.spark
VERSIONS = 12


def plans(share: float) -> pl.DataFrame:
    instant = datetime(2017, 1, 2, 5, tzinfo=UTC)
    return pl.DataFrame({
        "store_id": ["7"], "product_group": "TEAS", "week_start_date": date(2017, 1, 2), "display_products": 1,
        "mailer_products": 0, "display_share": share, "mailer_share": 0.0, "event_at": instant, "known_at": instant,
    })  # fmt: skip


@pytest.fixture(scope="module")
def written(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A table with enough commits for a checkpoint, as its files."""
    contract = replace(load_contracts()["gold", "promotion_plans"], name="doctored")
    with lake.set_to({"spark.databricks.delta.properties.defaults.checkpointInterval": "10"}):
        for number in range(VERSIONS):
            lake.write(contract, plans(number / 100), Provenance("c"))
    folder = Path(lake.settings.warehouse) / "gold_audit.db" / contract.name
    kept = tmp_path_factory.mktemp("kept") / "table"
    shutil.copytree(folder, kept)
    yield kept
    lake.spark.sql(f"DROP TABLE {contract.audit_name}")


@pytest.fixture
def table(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "gold_audit.db" / "doctored"))


def found_in(table: Path, *, is_written: bool = False) -> list[Finding]:
    files = SubTreeFileSystem(str(table.parent.parent), LocalFileSystem())
    return inspect_table(files, "gold_audit.doctored", is_written=is_written)


def commit(table: Path, version: int) -> Path:
    return table / LOG / f"{version:020}.json"


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def checkpoint(table: Path) -> Path:
    return next((table / LOG).glob("*.checkpoint*.parquet"))


def live_file(table: Path) -> Path:
    return max(table.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "newest commit torn": (lambda t: cut(commit(t, VERSIONS)), f"commit {VERSIONS} is", "backup"),
    "newest commit without its end": (
        lambda t: commit(t, VERSIONS).write_bytes(commit(t, VERSIONS).read_bytes().rstrip(b"\n")),
        "cut off", "backup",
    ),
    "newest commit empty": (lambda t: commit(t, VERSIONS).write_bytes(b""), "(0 bytes)", "backup"),
    "commit missing": (lambda t: commit(t, 5).unlink(), "commit 5 is missing", "backup"),
    "checkpoint torn": (lambda t: cut(checkpoint(t)), "cannot be read", "remove it"),
    "checkpoint gone": (lambda t: checkpoint(t).unlink(), "names checkpoint", "remove it"),
    "pointer empty": (lambda t: (t / LOG / LAST_CHECKPOINT).write_bytes(b""), "empty or torn", "remove it"),
    "data file gone": (lambda t: live_file(t).unlink(), "1 data files are missing", "backup"),
    "orphan": (lambda t: shutil.copy(live_file(t), t / "part-orphan.parquet"), "part-orphan.parquet", "maintain"),
}  # fmt: skip


def test_a_whole_table_has_nothing_to_say(table: Path):
    assert found_in(table) == []


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_named_with_its_mend(table: Path, name: str):
    breaks, said, mend = FAULTS[name]
    breaks(table)
    (finding, *_) = found_in(table)
    assert not finding.is_met
    assert said in finding.found
    assert mend in finding.mend


@pytest.mark.parametrize("name", ["checkpoint torn", "checkpoint gone", "pointer empty"])
def test_a_broken_checkpoint_can_be_removed_and_the_rows_are_there(lake: Lake, table: Path, name: str):
    breaks, _, _ = FAULTS[name]
    breaks(table)
    for path in [*(table / LOG).glob("*.checkpoint*.parquet"), table / LOG / LAST_CHECKPOINT]:
        path.unlink(missing_ok=True)
        (path.parent / f".{path.name}.crc").unlink(missing_ok=True)
    assert found_in(table) == []
    assert lake.query(f"SELECT display_share FROM delta.`{table}`")["display_share"].to_list() == [0.11]


def test_a_run_that_is_writing_has_no_orphans(lake: Lake, table: Path):
    shutil.copy(live_file(table), table / "part-new.parquet")
    assert found_in(table, is_written=True) == []


def test_the_whole_lake_is_looked_at(lake: Lake, written: Path, tmp_path: Path):
    settings = lake.settings.model_copy(update={"home": tmp_path})
    table = Path(settings.warehouse) / "gold_audit.db" / "doctored"
    shutil.copytree(written, table)
    assert [item.is_met for item in inspect_lake(settings)] == [True]
    shutil.copy(live_file(written), table / "part-stray.parquet")
    assert [(item.name, item.is_met) for item in inspect_lake(settings)] == [("gold_audit.doctored", False)]
    # What a run has written and not yet committed is no orphan.
    with file_lock(settings.home / "writer.lock", wait_seconds=0, busy="never"):
        assert [item.is_met for item in inspect_lake(settings)] == [True]


def history(contract: Contract, *versions: str) -> pl.DataFrame:
    return pl.DataFrame([
        {"model_name": "demand", "ordinal": number, "model_version": version, "previous_model_version": None,
         "decision": "promoted", "decided_as_of": datetime(2017, 1, number, tzinfo=UTC),
         "decided_by": None, "reasons": ["r"], "evidence": "{}"}
        for number, version in enumerate(versions, start=1)
    ], schema_overrides={"previous_model_version": pl.String, "decided_by": pl.String})  # fmt: skip


def test_an_alias_off_its_history_is_named_and_mended(lake: Lake, tmp_path: Path):
    contract = load_contracts()["models", "champion_history"]
    registry = Registry(lake.settings)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.cbm").write_bytes(b"weights")
    old, new = "a" * 64, "b" * 64
    try:
        assert alias_finding(lake, registry, mend=False)[0].is_met
        for version in (old, new):
            registry.record(version, bundle, {}, {})
        lake.publish(contract, lake.write(contract, history(contract, old, new), Provenance("c")), Provenance("c"))
        registry.project_champion(old)
        (finding,) = alias_finding(lake, registry, mend=False)
        assert (finding.is_met, "doctor --mend" in finding.mend) == (False, True)
        assert (old[:12] in finding.found, new[:12] in finding.found) == (True, True)
        assert registry.champion() == old
        assert alias_finding(lake, registry, mend=True)[0].is_met
        assert registry.champion() == new
    finally:
        lake.spark.sql(f"DROP VIEW IF EXISTS {contract.published_name}")
        lake.spark.sql(f"DROP TABLE IF EXISTS {contract.audit_name}")

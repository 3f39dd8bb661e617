"""Upkeep removes what nothing pins, and every published view reads the same rows after it."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from resources.commits import Provenance
from resources.conform import conform
from resources.instance import open_instance
from resources.inventory import content_digest
from resources.lake import Lake
from resources.lake_file import Retention
from resources.run_pruning import prune_manifests, prune_runs
from resources.settings import load_settings
from resources.upkeep import keep_tables, pinned_versions

NOTHING_IS_YOUNG = Retention(table_days=0, run_days=0, runs_kept=0, compact_from_files=4)
DAY = 86_400
INSTANT = datetime(2017, 1, 2, 5, tzinfo=UTC)


def plans(share: float) -> pl.DataFrame:
    return pl.DataFrame({
        "store_id": ["7", "8"], "product_group": "TEAS", "week_start_date": date(2017, 1, 2), "display_products": 1,
        "mailer_products": 0, "display_share": share, "mailer_share": 0.0, "event_at": INSTANT, "known_at": INSTANT,
    })  # fmt: skip


def offers(batch: int) -> pl.DataFrame:
    return pl.DataFrame({
        "source": "s", "batch_id": f"b{batch}", "offer_id": f"o{batch}", "product_id": "p", "campaign_id": "c",
        "event_at": INSTANT, "known_at": INSTANT, "row_hash": batch,
    })  # fmt: skip


@pytest.fixture
def gold(lake: Lake) -> Iterator[Contract]:
    contract = replace(load_contracts()["gold", "promotion_plans"], name="kept_plans")
    yield contract
    lake.spark.sql(f"DROP VIEW IF EXISTS {contract.published_name}")
    lake.spark.sql(f"DROP TABLE IF EXISTS {contract.audit_name}")


@pytest.fixture
def bronze(lake: Lake) -> Iterator[Contract]:
    contract = replace(load_contracts()["bronze", "offers"], name="kept_offers")
    yield contract
    lake.spark.sql(f"DROP TABLE IF EXISTS {contract.audit_name}")


def publish(lake: Lake, contract: Contract, share: float, inputs: dict[str, str] | None = None) -> int:
    made = Provenance("c", inputs or {})
    version = lake.write(contract, plans(share), made)
    lake.publish(contract, version, made)
    return version


def data_files(lake: Lake, contract: Contract) -> set[str]:
    schema, _, name = contract.audit_name.partition(".")
    return {path.name for path in (Path(lake.settings.warehouse) / f"{schema}.db" / name).glob("*.parquet")}


def aged(lake: Lake, contract: Contract, days: dict[int, int]) -> Contract:
    """A copy of a table whose commits lie so many days back, by version, as their files and removals do."""
    old = replace(contract, name=f"aged_{contract.name}")
    schema, _, _ = contract.audit_name.partition(".")
    target = Path(lake.settings.warehouse) / f"{schema}.db" / old.name
    shutil.copytree(target.with_name(contract.name), target)
    now = time.time()
    for path in target.glob("*"):
        os.utime(path, (now - 100 * DAY, now - 100 * DAY))
    for path in (target / "_delta_log").glob(".*.crc"):
        path.unlink()
    for version, back in days.items():
        commit, at = target / "_delta_log" / f"{version:020}.json", now - back * DAY
        actions = [json.loads(line) for line in commit.read_text(encoding="utf-8").splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] = int(at * 1000)
            if "inCommitTimestamp" in action.get("commitInfo", {}):
                action["commitInfo"]["inCommitTimestamp"] = int(at * 1000)
        commit.write_text("".join(json.dumps(action) + "\n" for action in actions), encoding="utf-8")
        os.utime(commit, (at, at))
    lake.adopt(old)
    return old


@pytest.mark.spark
def test_what_a_view_pins_stays_and_what_nothing_pins_goes(lake: Lake, gold: Contract):
    """Six versions, the fourth published: the first three left before the fourth did, and nothing pins them."""
    for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        newest = lake.write(gold, plans(share), Provenance("c"))
    pinned = newest - 2
    table = aged(lake, gold, {version: 40 - 4 * version for version in range(newest + 1)})
    try:
        lake.publish(table, pinned, Provenance("c"))
        digest, files = content_digest(lake, table), data_files(lake, table)
        (dry,) = keep_tables(lake, [table], NOTHING_IS_YOUNG, is_dry=True)
        assert data_files(lake, table) == files
        (freed,) = keep_tables(lake, [table], NOTHING_IS_YOUNG, is_dry=False)
        assert freed == dry
        assert (freed.files, len(files) - len(data_files(lake, table))) == (3, 3)
        assert freed.bytes > 0
        assert content_digest(lake, table) == digest
        assert set(lake.read(table.published_name)["display_share"]) == {0.4}
        later = lake.query(f"SELECT display_share FROM {lake.audit_relation(table)}")
        assert set(later["display_share"]) == {0.6}
    finally:
        lake.spark.sql(f"DROP VIEW IF EXISTS {table.published_name}")
        lake.spark.sql(f"DROP TABLE IF EXISTS {table.audit_name}")
        shutil.rmtree(Path(lake.settings.warehouse) / "gold_audit.db" / table.name, ignore_errors=True)


@pytest.mark.spark
def test_young_files_stay(lake: Lake, gold: Contract):
    for share in (0.1, 0.2):
        publish(lake, gold, share)
    (freed,) = keep_tables(lake, [gold], Retention(), is_dry=False)
    assert (freed.files, freed.bytes) == (0, 0)


@pytest.mark.spark
def test_compaction_changes_no_row_and_no_token(lake: Lake, bronze: Contract, gold: Contract):
    """What was made from a version of bronze can still be compared with it afterwards."""
    lake.ensure_table(bronze)
    for batch in range(6):
        rows = lake.spark.createDataFrame(conform(offers(batch), bronze))
        rows.write.format("delta").mode("append").saveAsTable(bronze.published_name)
        if batch == 3:
            publish(lake, gold, 0.1, {bronze.published_name: lake.token(bronze)})
    token, digest = lake.token(bronze), content_digest(lake, bronze)
    pins = pinned_versions(lake, [bronze, gold])[bronze.published_name]
    assert pins == {int(token), int(token) - 2}
    found = list(keep_tables(lake, [bronze, gold], NOTHING_IS_YOUNG, is_dry=False))
    assert found[0].compacted == 6
    assert (lake.token(bronze), content_digest(lake, bronze)) == (token, digest)
    detail = lake.spark.sql(f"DESCRIBE DETAIL {bronze.published_name}").collect()[0]
    assert detail["numFiles"] == 1
    for version in pins:
        counted = lake.query(f"SELECT COUNT(*) AS n FROM {bronze.published_name} VERSION AS OF {version}")
        assert counted["n"][0] == version
    again = list(keep_tables(lake, [bronze, gold], NOTHING_IS_YOUNG, is_dry=False))
    assert again[0].compacted == 0


def finished_run(instance: dg.DagsterInstance) -> str:
    @dg.asset
    def something() -> None:
        """A table."""

    return dg.materialize([something], instance=instance).run_id


def test_old_runs_go_with_their_folders_and_the_newest_stay(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    with open_instance(settings) as instance:
        ids = [finished_run(instance) for _ in range(3)]
        stray = settings.dagster_home / "storage" / str(uuid.uuid4())
        stray.mkdir(parents=True)
        (stray / "log").write_bytes(b"x" * 1000)
        policy = NOTHING_IS_YOUNG.model_copy(update={"runs_kept": 1})
        (dry,) = prune_runs(instance, settings, policy, is_dry=True)
        assert (dry.files, len(instance.get_run_records()), stray.exists()) == (2, 3, True)
        (freed,) = prune_runs(instance, settings, policy, is_dry=False)
        assert freed.files == 2
        assert freed.bytes > 1000
        assert [item.dagster_run.run_id for item in instance.get_run_records()] == [ids[-1]]
        assert not stray.exists()
        (young,) = prune_runs(instance, settings, Retention(runs_kept=0), is_dry=False)
        assert young.files == 0


def test_manifests_of_earlier_projects_go(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    for name in ("a" * 16, "b" * 16):
        (tmp_path / "dbt" / name).mkdir(parents=True)
        (tmp_path / "dbt" / name / "manifest.json").write_bytes(b"{}")
    (freed,) = prune_manifests(settings, tmp_path / "dbt" / ("b" * 16), is_dry=False)
    assert (freed.files, freed.bytes) == (1, 2)
    assert [path.name for path in (tmp_path / "dbt").iterdir()] == ["b" * 16]

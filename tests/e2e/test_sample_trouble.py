"""The sample's lake in trouble: a killed server, a second run, a fault planted in a table, a broken table upstream.

The last chapter of the lake's story: what comes here leaves tables behind.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest

from resources.locks import file_lock
from resources.registry import VERSION_TAG, Registry
from resources.settings import load_settings
from tests.e2e.conftest import SampleLake

pytestmark = [pytest.mark.spark, pytest.mark.e2e]


@pytest.mark.certify
def test_a_server_killed_in_mid_run_changes_nothing(sample: SampleLake, built: dict[str, Any]):
    """The kill comes while rows are on their way to the server: the step's retry brings it back and completes."""
    key = ["store_id", "product_group", "week_start_date"]
    before = sample.table("gold.demand_series").sort(key)
    running = sample.start("run", "gold.demand_series")
    staged = sample.home / "warehouse" / "_staged" / "gold.demand_series.parquet"
    record = json.loads((sample.home / "spark" / "server.json").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 120
    while not staged.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(record["pid"], signal.SIGKILL)
    stdout, stderr = running.communicate(timeout=300)
    assert running.returncode == 0, stderr[-3000:]
    assert json.loads(stdout)["failures"] == []
    assert json.loads((sample.home / "spark" / "server.json").read_text(encoding="utf-8"))["pid"] != record["pid"]
    assert sample.table("gold.demand_series").sort(key).equals(before)


TRAINING = [
    ("ml.packaging", "_write_durably"),
    ("assets.models.demand", "save_bundle"),
    ("resources.registry.Registry", "find"),
    ("resources.registry.Registry", "record"),
    ("resources.lake.Lake", "write"),
    ("resources.lake.Lake", "publish"),
]
KILLS = [
    (*point, str(threads))
    for threads, point in enumerate(((*call, when) for call in TRAINING for when in ("before", "after")), start=3)
]


@pytest.mark.certify
@pytest.mark.parametrize(("owner", "name", "when", "threads"), KILLS)
def test_a_training_killed_on_its_way_leaves_the_champion_and_nothing_else(
    sample: SampleLake, built: dict[str, Any], owner: str, name: str, when: str, threads: str
):
    """A model that is new, because it is fitted on another number of threads: killed, then made, then made again."""
    lake = SampleLake(sample.home, {**sample.variables, "LIFTLAKE_THREADS": threads})
    champions, models = sample.table("models.champion_history"), sample.home / "artifacts" / "models"
    made = {path.name for path in models.iterdir()}
    lake.killed(owner, name, when, "run", "models.demand_models")
    assert sample.table("models.champion_history").equals(champions)
    for _ in range(2):
        lake.liftlake("run", "models.demand_models")
        (version,) = {path.name for path in models.iterdir()} - made
        assert sample.sql(f"SELECT * FROM models.demand_models WHERE model_version = '{version}'").height == 1
        registered = Registry(load_settings(sample.environment))._client.search_model_versions("name = 'demand'")
        assert [item.tags[VERSION_TAG] for item in registered].count(version) == 1
    assert sample.table("models.champion_history").equals(champions)


def test_a_run_beside_another_is_refused_with_a_sentence(sample: SampleLake, built: dict[str, Any]):
    busy = "held by this test"
    with file_lock(sample.home / "writer.lock", wait_seconds=0, busy=busy):
        refused = sample.liftlake("run", "gold.promotion_plans", code=2)
    assert "one run writes at a time" in refused["error"]


def test_a_planted_fault_is_named(sample: SampleLake, built: dict[str, Any]):
    store = sample.sql("SELECT MIN(store_id) AS store_id FROM gold_audit.demand_series")["store_id"][0]
    sample.sql(
        "UPDATE gold_audit.demand_series SET net_sales_usd = gross_sales_usd + 1 "
        f"WHERE store_id = '{store}' AND week_start_date = DATE'2017-06-05' AND transactions > 0",
    )
    planted = sample.sql("SELECT COUNT(*) AS n FROM gold_audit.demand_series WHERE net_sales_usd > gross_sales_usd")
    result = sample.liftlake("check", "gold.demand_series", code=1)
    failed = [row for row in result["results"] if row["outcome"] == "failed" and row["severity"] == "error"]
    assert [(row["asset"], row["check"], row["failing_rows"]) for row in failed] == [
        ("gold.demand_series", "gross_covers_net", planted["n"][0])
    ]
    assert planted["n"][0] > 0
    assert failed[0]["example"]
    # The fault is in one week: another one alone is sound, and looking at it publishes nothing.
    other = sample.liftlake("check", "gold.demand_series", "--partition", "2017-06-12")
    assert (other["failed"], other["not_run"]) == (0, 0)
    past = sample.liftlake("checks", "history", "gold.demand_series", "--limit", "2")["results"]
    assert [(row["partition"], row["outcome"]) for row in past] == [("2017-06-12", "passed"), (None, "failed")]
    published = sample.sql("SELECT COUNT(*) AS n FROM gold.demand_series WHERE net_sales_usd > gross_sales_usd")
    assert published["n"][0] == 0


@pytest.mark.certify
def test_a_broken_table_stops_its_users_and_nobody_else(sample: SampleLake, built: dict[str, Any]):
    """Bronze is read as it is: its users wait in the run that finds the fault and in the next, others are built."""
    sound = sample.sql("DESCRIBE HISTORY bronze.campaigns LIMIT 1")["version"][0]
    sample.sql("UPDATE bronze.campaigns SET end_date = date_sub(start_date, 1) WHERE campaign_id = '1'")
    found = sample.liftlake("run", "bronze.campaigns", "silver.fct_offer_exposures", "silver.dim_store", code=1)
    assert [item["name"] for item in found["failures"]] == ["bronze.campaigns"]
    assert "campaign_dates_ordered" in found["failures"][0]["reason"]
    notified = (sample.home / "notifications.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line)["message"] for line in notified]
    assert (told[-1]["table"], told[-1]["kind"]) == ("bronze.campaigns", "incident")
    assert told[-1]["reasons"][0].startswith("campaign_dates_ordered: ")
    again = sample.liftlake("run", "silver.fct_offer_exposures", "silver.dim_store", code=1)
    assert [row["table"] for row in again["stopped"]] == ["silver.fct_offer_exposures"]
    assert "end_date" in again["stopped"][0]["reason"]
    assert [row["table"] for row in again["materialised"]] == ["silver.dim_store"]
    sample.sql(f"RESTORE TABLE bronze.campaigns TO VERSION AS OF {sound}")
    mended = sample.liftlake("run", "bronze.campaigns", "silver.fct_offer_exposures")
    assert {row["table"] for row in mended["materialised"]} == {"bronze.campaigns", "silver.fct_offer_exposures"}
    assert (mended["failures"], mended["stopped"]) == ([], [])
    notified = (sample.home / "notifications.jsonl").read_text(encoding="utf-8").splitlines()
    ended = [json.loads(line)["message"] for line in notified]
    assert (ended[-1]["table"], ended[-1]["kind"]) == ("bronze.campaigns", "mended")
    assert ended[-1]["reasons"][0].startswith("campaign_dates_ordered: was broken in version ")

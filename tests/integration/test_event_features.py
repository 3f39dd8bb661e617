"""Event features that follow batches: equal to a recompute of everything and to SQL, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from benchmarks.telemetry import Traffic, write_lines
from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import compile_plan
from ml.tokens import household_tokens
from resources.event_features import EVENTS, KEYS, BrokenFeatures, FeatureTable, FollowedFeatures, features_where
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import load_mapping
from resources.receipts import Receipt
from resources.settings import Settings
from resources.spans import between
from resources.token_keys import token_key

pytestmark = pytest.mark.spark
# A Sunday evening in New York: the events lie in two business weeks.
START = datetime(2017, 12, 4, 3, tzinfo=UTC)
WEEKS = between(date(2017, 11, 27), date(2017, 12, 4))
FILES, BRONZE = 4, ("telemetry_events", "ingest_ledger", "quarantine")
Contracts = dict[tuple[str, str], Contract]


@pytest.fixture
def contracts(lake: Lake) -> Iterator[Contracts]:
    lake.prepare()
    found = load_contracts()
    for name in BRONZE:
        lake.ensure_table(found["bronze", name])
    yield found
    for name in BRONZE:
        lake.spark.sql(f"DROP TABLE bronze.{name}")
    for name in KEYS:
        lake.spark.sql(f"DROP VIEW IF EXISTS gold.{name}")
        lake.spark.sql(f"DROP TABLE IF EXISTS gold_audit.{name}")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Disordered events with repeats and late ones, in a few files."""
    messages = Traffic(seed=11, count=3000, start=START, per_second=0.2, disorder=900).messages()
    cuts = [len(messages) * part // FILES for part in range(FILES + 1)]
    return [
        write_lines(messages[first:last], tmp_path / f"telemetry-{number}.jsonl")
        for number, (first, last) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]


def followed(lake: Lake, contracts: Contracts, code: str = "1") -> FollowedFeatures:
    tables = [FeatureTable(contracts["gold", name], code) for name in KEYS]
    by_name = {contract.published_name: contract for contract in contracts.values()}
    return FollowedFeatures(lake, tables, by_name, WEEKS)


def ingested(lake: Lake, contracts: Contracts, path: Path) -> Receipt:
    plan = compile_plan(to_pandera(contracts["bronze", "telemetry_events"]))
    receipt = Ingest(lake, load_mapping("completejourney"), contracts).file("telemetry_events", path, plan)
    assert receipt is not None
    return receipt


def published(lake: Lake, name: str) -> pl.DataFrame:
    return lake.query(f"SELECT * FROM gold.{name} ORDER BY {KEYS[name]}, week_start_date, hour_start_at")


def versions(lake: Lake, contracts: Contracts) -> list[int]:
    return [lake.newest(contracts["gold", name]).version for name in KEYS]


def by_sql(lake: Lake, settings: Settings, name: str) -> pl.DataFrame:
    """The same features said in SQL, over all events at once."""
    counts = ", ".join(
        f"COUNT_IF(event_type = '{kind}') AS {kind}_events"
        for kind in ("impression", "offer_view", "add_to_basket", "redemption")
    )
    own = "household_id" if KEYS[name] == "household_token" else KEYS[name]
    rows = lake.query(
        f"SELECT {own}, week_start_date, DATE_TRUNC('HOUR', event_at) AS hour_start_at, {counts}, "
        "CAST(SUM(COALESCE(quantity_units, 0)) AS DECIMAL(18,4)) AS added_quantity_units, "
        "MIN(event_at) AS first_event_at, MAX(event_at) AS last_event_at, MAX(known_at) AS known_at "
        f"FROM {EVENTS} WHERE {own} IS NOT NULL GROUP BY ALL"
    )
    if own == "household_id":
        tokens = household_tokens(rows[own].unique(), *token_key(settings)).drop("key_version")
        rows = rows.join(tokens, on=own).select("household_token", pl.exclude(own, "household_token"))
    return rows.sort(KEYS[name], "week_start_date", "hour_start_at")


def test_followed_features_equal_a_recompute_and_sql(
    lake: Lake, lake_settings: Settings, contracts: Contracts, files: list[Path]
):
    """The third batch is booked and its features are not made: a kill. The fourth finds that out."""
    features = followed(lake, contracts)
    features.catch_up()
    assert versions(lake, contracts) == [0, 0]
    for path in files[:2]:
        features.add(ingested(lake, contracts, path))
    assert versions(lake, contracts) == [2, 2]
    ingested(lake, contracts, files[2])
    features = followed(lake, contracts)
    features.catch_up()
    features.add(ingested(lake, contracts, files[3]))
    assert versions(lake, contracts) == [4, 4]
    for name in KEYS:
        rows = published(lake, name)
        assert rows["week_start_date"].unique().sort().to_list() == list(WEEKS)
        oracle = by_sql(lake, lake_settings, name)
        assert_frame_equal(rows, oracle, check_dtypes=False)
        recomputed = features_where(lake, name, "TRUE")
        assert_frame_equal(rows, recomputed.select(rows.columns), check_dtypes=False)


def test_what_is_in_the_features_is_not_added_again(lake: Lake, contracts: Contracts, files: list[Path]):
    features = followed(lake, contracts)
    features.catch_up()
    receipt = ingested(lake, contracts, files[0])
    features.add(receipt)
    before = {name: published(lake, name) for name in KEYS}
    features.add(replace(receipt, accepted=0))
    followed(lake, contracts).catch_up()
    assert versions(lake, contracts) == [1, 1]
    # Asked for twice, it is recomputed and not added.
    features.add(receipt)
    for name, rows in before.items():
        assert_frame_equal(published(lake, name), rows)
    followed(lake, contracts, code="2").catch_up()
    assert versions(lake, contracts) == [2, 2]
    for name, rows in before.items():
        assert_frame_equal(published(lake, name), rows)


def test_a_batch_without_households_changes_stores_alone_and_is_followed_by_a_merge(
    lake: Lake, contracts: Contracts, files: list[Path], tmp_path: Path
):
    """Nothing is written for households; the next batch is added to what is there, not recomputed."""
    messages = Traffic(seed=12, count=50, start=START).messages()
    unsigned = [json.dumps({**json.loads(item), "household_id": None}).encode() for item in messages]
    features = followed(lake, contracts)
    features.catch_up()
    features.add(ingested(lake, contracts, write_lines(unsigned, tmp_path / "telemetry-unsigned.jsonl")))
    assert versions(lake, contracts) == [0, 1]
    features.add(ingested(lake, contracts, files[0]))
    assert versions(lake, contracts) == [1, 2]
    for name in KEYS:
        newest = lake.spark.sql(f"DESCRIBE HISTORY gold_audit.{name} LIMIT 1").collect()[0]
        assert newest["operation"] == "MERGE"
        rows = published(lake, name)
        assert_frame_equal(rows, features_where(lake, name, "TRUE").select(rows.columns), check_dtypes=False)


def test_features_that_break_their_contract_are_not_published(lake: Lake, contracts: Contracts, files: list[Path]):
    features = followed(lake, contracts)
    features.catch_up()
    receipt = ingested(lake, contracts, files[0])
    lake.spark.sql(f"UPDATE {EVENTS} SET quantity_units = -1 WHERE event_type = 'add_to_basket'")
    with pytest.raises(BrokenFeatures, match="added_quantity_units"):
        features.add(receipt)
    for name in KEYS:
        seen = lake.publication(contracts["gold", name])
        assert seen is not None
        assert seen.version == 0

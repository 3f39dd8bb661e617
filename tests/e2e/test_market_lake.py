"""A generated market through the same ingest as real data: its lift, the advice, decisions, what became of them.

One lake for the module; the tests read it in the order in which its story goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from benchmarks.lift import lift_inputs
from benchmarks.market import FIRST_WEEK, MarketSettings
from benchmarks.market_files import write_market
from benchmarks.market_tables import Market, make_market
from ml.action_outcomes import OUTCOME_SCHEMA, outcomes
from ml.actions_optimizer import CANDIDATE_KEY, CELL
from ml.lift import NET, promotion_lift
from tests.command_lake import CommandLake
from tests.receivers import Receiver, listening

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]
SEED, WEEKS, KNOWN_WEEKS = 11, 36, 32
SETTINGS = MarketSettings(stores=40, weeks=WEEKS, promotions_per_group=2, baskets=6.0, households_per_store=20)
LIMITS = {"budget_usd": 120, "slots_per_store": 2, "exploration_share": 0.1, "hold_out_share": 0.3}


@dataclass(frozen=True)
class MarketLake(CommandLake):
    """A lake of a market's files."""

    def actions(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return self.liftlake("actions", *arguments, code=code)


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(SETTINGS, SEED)


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    """What the lake tells other programs."""
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def lake(market: Market, tmp_path_factory: pytest.TempPathFactory, told: Receiver) -> Iterator[MarketLake]:
    folder = tmp_path_factory.mktemp("market")
    write_market(market, folder / "files")
    home = folder / "home"
    home.mkdir()
    groups = market.world.group_names
    # Midnight in New York: the first target week has not begun.
    clock = datetime.combine(FIRST_WEEK + timedelta(weeks=KNOWN_WEEKS), time(4))
    last = market.world.week_starts[-1]
    settings = {
        "source": "completejourney", "as_of": f"{clock.isoformat()}Z", "weeks": {"first": FIRST_WEEK, "last": last},
        "scope": {"product_groups": groups},
    }  # fmt: skip
    assumptions = {
        "costs_usd": {"display": 3.0, "mailer": 1.5}, "margin_percent": dict.fromkeys(groups, 30), "limits": LIMITS,
        "seed": SEED,
    }  # fmt: skip
    (home / "lake.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (home / "assumptions.yaml").write_text(yaml.safe_dump(assumptions), encoding="utf-8")
    channel = {"LIFTLAKE_EVENTS_WEBHOOK": told.url("events")}
    opened = MarketLake(home, {"LIFTLAKE_SOURCE_FILES": str(folder / "files"), **channel})
    yield opened
    opened.liftlake("down")


@pytest.fixture(scope="module")
def built(lake: MarketLake) -> dict[str, Any]:
    return lake.liftlake("demo")


@pytest.fixture(scope="module")
def approved(lake: MarketLake, built: dict[str, Any]) -> pl.DataFrame:
    """The log after the first advice was approved."""
    lake.actions("approve", "--by", "A. Planner")
    return lake.table("bronze.action_assignments").sort("entry_number")


def test_weeks_are_what_the_market_sold(lake: MarketLake, built: dict[str, Any], market: Market):
    sold = market.sold.baskets[:, :, :KNOWN_WEEKS].sum()
    through = FIRST_WEEK + timedelta(weeks=KNOWN_WEEKS - 1)
    [(found,)] = lake.sql(
        f"SELECT SUM(transactions) FROM gold.demand_series WHERE week_start_date <= DATE'{through}'"
    ).rows()
    assert found == sold


def test_lift_is_what_the_sold_weeks_give_without_a_lake(lake: MarketLake, built: dict[str, Any], market: Market):
    """The source has no place for a price cut alone, so that neither side knows of one."""
    known = replace(market, placed=[event for event in market.placed if event.kind != "price_cut"])
    inputs = lift_inputs(known)
    wanted = promotion_lift(inputs.events, inputs.lines, inputs.groups, inputs.weeks[:KNOWN_WEEKS])
    found = lake.table("insights.promotion_lift")
    key = ["level", "product_group", "kind", "first_week_start_date", "part"]
    both = found.join(wanted, on=key, how="full", suffix="_wanted", nulls_equal=True)
    assert both.height == found.height == wanted.height
    assert both["verdict"].to_list() == both["verdict_wanted"].to_list()
    for measure in ("incremental_transactions", "incremental_units", "synthetic_transactions", "naive_transactions"):
        pairs = both.select(measure, f"{measure}_wanted")
        assert pairs.drop_nulls().height == pairs[measure].count() == pairs[f"{measure}_wanted"].count() > 0
        own, direct = (pairs.drop_nulls()[name].to_list() for name in pairs.columns)
        assert own == pytest.approx(direct, rel=1e-6)
    shown = lake.liftlake("lift")
    assert len(shown["promotions"]) == found.filter(
        pl.col("level") == "event", pl.col("part") == NET, pl.col("incremental_transactions").is_not_null()
    ).height  # fmt: skip


def test_the_advice_keeps_its_limits_and_a_trial_other_ones(lake: MarketLake, built: dict[str, Any]):
    advice = lake.actions()
    assert advice["is_published"]
    assert 0 < advice["assumed_cost_usd"] <= LIMITS["budget_usd"] / (1 - LIMITS["hold_out_share"])
    treated = [row for row in advice["actions"] if row["cell"] == "treated"]
    assert sum(float(row["assumed_cost_usd"]) for row in treated) <= LIMITS["budget_usd"]
    assert min(advice["treated"], advice["hold_out"]) >= 2
    trial = lake.actions("--budget", "12", "--slots", "1")
    assert (trial["is_published"], trial["treated"] > 0) == (False, True)
    assert sum(float(row["assumed_cost_usd"]) for row in trial["actions"] if row["cell"] == "treated") <= 12
    assert "budget_usd must be an amount above 0" in lake.actions("--budget", "-5", code=2)["error"]
    assert lake.actions()["actions"] == advice["actions"]


def test_approved_once_and_edited_with_a_reason(
    lake: MarketLake, approved: pl.DataFrame, tmp_path: Path, told: Receiver
):
    advice = lake.actions()["actions"]
    assert approved.select(CANDIDATE_KEY).height == len(advice)
    assert approved["is_hold_out"].sum() == sum(row["cell"] == "hold_out" for row in advice)
    assert "Decided before" in lake.actions("approve", "--by", "A. Planner", code=2)["error"]
    week, store, group = approved.filter(~pl.col("is_hold_out")).select(CELL).row(0)
    where = ["--store", store, "--group", group, "--week", str(week), "--kind", "none", "--by", "A. Planner"]
    assert "needs a note" in lake.actions("edit", *where, "--note", " ", code=2)["error"]
    lake.actions("edit", *where, "--note", "the shelf is being rebuilt")
    lake.actions("export", str(tmp_path / "work.csv"))
    exported = pl.read_csv(tmp_path / "work.csv", infer_schema=False)
    assert exported.height == len(advice)
    assert exported.filter(pl.col("decision") == "edited")["note"].to_list() == ["the shelf is being rebuilt"]
    actions = [body["data"] for _, body in told.got if body["type"] == "liftlake.action.approved"]
    assert [entry["entry_number"] for entry in actions] == list(range(1, approved.height + 2))
    assert [entry["is_hold_out"] for entry in actions[:-1]] == approved["is_hold_out"].to_list()
    assert (actions[-1]["decision"], actions[-1]["kind"], actions[-1]["store_id"]) == ("edited", "none", store)


def test_a_log_survives_in_an_archive(lake: MarketLake, approved: pl.DataFrame, tmp_path: Path):
    archive = tmp_path / "lake.tar"
    lake.liftlake("backup", str(archive))
    other = MarketLake(tmp_path / "home", lake.variables)
    other.liftlake("restore", str(archive))
    try:
        kept = other.table("bronze.action_assignments").sort("entry_number")
    finally:
        other.liftlake("down")
    assert kept.equals(lake.table("bronze.action_assignments").sort("entry_number"))
    assert kept.head(approved.height).equals(approved)


def test_outcomes_follow_the_weeks_and_the_next_advice_leaves_what_is_decided(lake: MarketLake, approved: pl.DataFrame):
    moved = lake.liftlake("demo", "--next-week")
    assert "insights.action_outcomes" in {row["table"] for row in moved["work"]}
    log, series = lake.table("bronze.action_assignments"), lake.table("gold.demand_series")
    through = FIRST_WEEK + timedelta(weeks=KNOWN_WEEKS)
    wanted = outcomes(log, series.filter(~pl.col("is_partial_week")), through)
    found = lake.table("insights.action_outcomes").select(list(OUTCOME_SCHEMA))
    key = ["target_week_start_date", "period", "product_group", "kind"]
    assert found.sort(key).equals(wanted)
    overall = found.filter(kind="all", period="to_date").row(0, named=True)
    assert overall["treated_cells"] >= 2
    # Nobody did what was advised: the weeks were sold before.
    assert overall["measured_lower"] < 0 < overall["measured_upper"]
    again = pl.DataFrame([{name: row[name] for name in CANDIDATE_KEY} for row in lake.actions()["actions"]])
    decided = approved.select(pl.col("target_week_start_date").cast(pl.String), "store_id", "product_group")
    assert again.height
    assert again.join(decided, on=list(CELL), how="semi").is_empty()


def test_a_lake_without_a_champion_says_so(lake: MarketLake, approved: pl.DataFrame):
    found = lake.liftlake("drift")
    assert (found["decision"]["response"], found["statistics"]) == ("nothing", [])
    assert found["decision"]["reasons"] == ["No model was in charge before this week."]
    assert "No model is in charge" in lake.liftlake("card", code=2)["error"]
    assert "nothing to roll back to" in lake.liftlake("rollback", "--reason", "r", "--by", "b", code=2)["error"]
    assert not (lake.home / "notifications.jsonl").exists()

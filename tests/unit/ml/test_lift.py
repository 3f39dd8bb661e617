"""The lift of promotions: exact where nothing is random, near a market's truth, refused where there is no design."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from benchmarks.lift import lift_inputs
from benchmarks.market import MarketSettings
from benchmarks.market_tables import Market, make_market
from ml.frame_checks import BadFrame
from ml.lift import DEFAULT_DESIGN, LIFT_SCHEMA, promotion_lift
from ml.lift_parts import PARTS
from tests.unit.ml.lift_data import STORES, WEEKS, flat, ledger, run, sums

MARKET = MarketSettings(promotions_per_group=2, weeks=60, stores=40, baskets=8.0)
STAGGERED = [run(store, 20 + store % 2) for store in range(8)]


def lift(
    runs: list[tuple[str, str, str, int, int]], lines: dict[str, np.ndarray] | None = None, **kw: int
) -> pl.DataFrame:
    events = ledger(runs, **kw)
    return promotion_lift(events, *sums(flat() if lines is None else lines), WEEKS)


def net(table: pl.DataFrame) -> dict[str, object]:
    [row] = table.filter((pl.col("level") == "event") & (pl.col("part") == "net")).to_dicts()
    return row


def test_every_part_of_a_planted_effect_is_found_exactly() -> None:
    lines, sold = flat(), flat()
    for store in range(8):
        now = slice(20 + store % 2, 22 + store % 2)
        later = slice(22 + store % 2, 25 + store % 2)
        lines["A1"][store, now] *= 2.0
        lines["A2"][store, now] *= 0.9
        lines["B1"][store, now] *= 1.05
        lines["A1"][store, later] *= 0.8
    table = lift([*STAGGERED, *bystanders()], lines).filter(pl.col("product_line") == "A1")
    event = table.filter(pl.col("level") == "event")
    found = dict(event.select("part", "incremental_transactions").iter_rows())
    own = sold["A1"][:8, 0].sum()
    wanted = {
        "promoted": 2 * own,
        "rest_of_group": -0.4 * own,
        "other_groups": 0.3 * own,
        "following_weeks": -0.6 * own,
    }
    assert {part: found[part] for part in PARTS} == pytest.approx(wanted, rel=1e-3)
    assert found["net"] == pytest.approx(sum(wanted.values()), rel=1e-3)
    assert dict(event.select("part", "synthetic_transactions").iter_rows()) == pytest.approx(found, rel=1e-3)
    assert dict(event.select("part", "incremental_units").iter_rows())["net"] == pytest.approx(
        2 * found["net"], rel=1e-3
    )
    assert dict(event.select("part", "incremental_sales_usd").iter_rows())["net"] == pytest.approx(
        5 * found["net"], rel=1e-3
    )
    row = net(table)
    assert (row["verdict"], row["measured_stores"], row["untreated_stores"]) == ("measured", 8, 12)
    assert row["naive_transactions"] == pytest.approx(2 * own)


def test_a_shock_of_all_stores_is_no_effect_and_fools_the_naive_estimate() -> None:
    lines = flat()
    for counts in lines.values():
        counts[:, 20:23] *= 1.5
    row = net(lift([*STAGGERED, *bystanders()], lines).filter(pl.col("product_line") == "A1"))
    assert row["incremental_transactions"] == pytest.approx(0, abs=0.5)
    assert row["naive_transactions"] > 50


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(MARKET, 5)


@pytest.fixture(scope="module")
def table(market: Market) -> pl.DataFrame:
    inputs = lift_inputs(market)
    return promotion_lift(inputs.events, inputs.lines, inputs.groups, inputs.weeks)


def test_parts_sum_to_net_and_promotions_to_their_totals(table: pl.DataFrame) -> None:
    assert table.schema == pl.Schema(LIFT_SCHEMA)
    measures = ("incremental_transactions", "incremental_units", "incremental_sales_usd", "synthetic_transactions")
    for measure in measures:
        wide = table.pivot(on="part", index=["level", "event_id"], values=measure)
        assert wide.select(pl.sum_horizontal(PARTS)).to_series().to_list() == pytest.approx(wide["net"].to_list())
    events = table.filter(pl.col("level") == "event")
    for level, key in (("group", ["product_group", "kind"]), ("all", [])):
        sums_of_events = events.group_by([*key, "part"]).agg(pl.col(*measures, "naive_transactions").sum())
        both = table.filter(pl.col("level") == level).join(sums_of_events, on=[*key, "part"], suffix="_of_events")
        assert both.height == sums_of_events.height > 0
        for measure in measures:
            assert both[measure].to_list() == pytest.approx(both[f"{measure}_of_events"].to_list())


def test_the_truth_of_a_market_lies_in_the_interval_and_the_naive_estimate_is_far_off(
    market: Market, table: pl.DataFrame
) -> None:
    [row] = table.filter((pl.col("level") == "all") & (pl.col("part") == "net")).to_dicts()
    truth = market.truth().filter(pl.col("part") == "net")["transactions"].sum()
    assert row["incremental_transactions_lower"] < truth < row["incremental_transactions_upper"]
    assert row["incremental_transactions_lower"] > 0
    assert row["naive_transactions"] > 1.3 * truth


def test_the_order_of_rows_and_the_names_of_stores_change_nothing(market: Market, table: pl.DataFrame) -> None:
    inputs = lift_inputs(market)
    again = promotion_lift(
        inputs.events.sample(fraction=1.0, shuffle=True, seed=1),
        inputs.lines.sample(fraction=1.0, shuffle=True, seed=2),
        inputs.groups.sample(fraction=1.0, shuffle=True, seed=3),
        inputs.weeks,
    )
    assert again.equals(table)


def test_sales_after_the_last_week_at_hand_are_not_looked_at(market: Market) -> None:
    inputs = lift_inputs(market)
    weeks = inputs.weeks[:45]
    short = promotion_lift(inputs.events, inputs.lines, inputs.groups, weeks)
    changed = inputs.lines.with_columns(
        transactions=pl.when(pl.col("week_start_date") > weeks[-1]).then(999).otherwise("transactions")
    )
    assert promotion_lift(inputs.events, changed, inputs.groups, weeks).equals(short)
    assert "outcome_not_over" in short["verdict"].to_list()


REFUSED = {
    "everywhere at once": ("no_untreated_store", [run(store, 20) for store in range(20)], {}),
    "four stores left": ("no_untreated_store", [run(store, 20) for store in range(16)], {}),
    "planned afterwards": ("planned_after_outcome", STAGGERED, {"lead_days": -3}),
    "still running": ("outcome_not_over", [run(store, 37) for store in range(8)], {}),
    "from the first week on": ("nothing_before", [run(store, 2) for store in range(8)], {}),
    "a standing display": ("standing_promotion", [run(store, 8, weeks=20) for store in range(8)], {}),
    "too few stores": ("too_small", [run(store, 20) for store in range(3)], {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_without_a_design_there_is_a_reason_and_no_number(name: str) -> None:
    verdict, runs, settings = REFUSED[name]
    others = [run(store, 30, line="B1") for store in range(len(STORES))]
    table = promotion_lift(ledger([*runs, *others], **settings), *sums(flat()), WEEKS)
    own = table.filter((pl.col("product_line") == "A1") & (pl.col("level") == "event"))
    assert own["part"].to_list() == ["net"]
    [row] = own.to_dicts()
    assert row["verdict"] == verdict
    assert row["reason"].endswith(".")
    numbers = [name for name, dtype in LIFT_SCHEMA.items() if dtype == pl.Float64()]
    assert all(row[column] is None for column in numbers)


def bystanders() -> list[tuple[str, str, str, int, int]]:
    """Promotions elsewhere, by which all stores are known to the ledger."""
    return [run(store, 33, line="B1", weeks=1) for store in range(len(STORES))]


def test_a_mailer_in_the_promoted_stores_alone_is_a_conflict_and_one_in_all_stores_is_not() -> None:
    beside = [run(store, 20, kind="mailer") for store in range(8)]
    everywhere = [run(store, 20, kind="mailer") for store in range(len(STORES))]
    displays = [run(store, 20) for store in range(8)]
    by_kind = {}
    for name, mailers in (("beside", beside), ("everywhere", everywhere)):
        table = lift([*displays, *mailers, *bystanders()]).filter(
            pl.col("product_line") == "A1", pl.col("part") == "net"
        )
        by_kind[name] = dict(table.select("kind", "verdict").iter_rows())
    assert by_kind["beside"]["display"] == "conflicting_promotion"
    assert by_kind["everywhere"] == {"display": "measured", "mailer": "no_untreated_store"}


def test_promoted_again_in_the_weeks_after_is_a_conflict() -> None:
    again = [run(store, 22, weeks=3, kind="mailer") for store in range(8)]
    assert (
        net(lift([*[run(store, 20) for store in range(8)], *bystanders()]).filter(pl.col("product_line") == "A1"))[
            "verdict"
        ]
        == "measured"
    )
    later = lift([*[run(store, 20) for store in range(8)], *again, *bystanders()])
    row = later.filter((pl.col("product_line") == "A1") & (pl.col("kind") == "display")).to_dicts()[0]
    assert row["verdict"] == "conflicting_promotion"
    assert "promoted again" in row["reason"]


def test_untreated_stores_that_sell_next_to_nothing_are_no_comparison() -> None:
    lines = flat()
    for counts in lines.values():
        counts[10:] *= 0.02
    table = lift([*[run(store, 20) for store in range(10)], *bystanders()], lines)
    row = table.filter((pl.col("product_line") == "A1") & (pl.col("part") == "net")).to_dicts()[0]
    assert row["verdict"] == "no_overlap"


def test_sales_too_sparse_to_say_anything_are_refused() -> None:
    lines = flat()
    lines["A1"] *= 0.02
    assert (
        net(lift([*STAGGERED, *bystanders()], lines).filter(pl.col("product_line") == "A1"))["verdict"] == "too_small"
    )


def test_stores_whose_promotions_are_not_known_are_no_untreated_stores() -> None:
    row = net(
        lift(STAGGERED + [run(store, 33, line="B1", weeks=1) for store in range(12)]).filter(
            pl.col("product_line") == "A1"
        )
    )
    assert row["verdict"] == "no_untreated_store"


def test_a_trend_of_the_promoted_stores_fails_the_placebo_and_widens_the_interval() -> None:
    lines = flat()
    random = np.random.default_rng(1)
    for counts in lines.values():
        counts[:8] *= np.exp(0.12 * np.maximum(np.arange(len(WEEKS)) - 8, 0))
        counts[:] = random.poisson(counts)
    row = net(lift([*STAGGERED, *bystanders()], lines).filter(pl.col("product_line") == "A1"))
    assert row["verdict"] in {"placebo_failed", "designs_disagree"}
    assert row["reason"]
    assert row["incremental_transactions_lower"] <= row["synthetic_transactions"] <= row[
        "incremental_transactions_upper"
    ] or (
        row["incremental_transactions_upper"] - row["incremental_transactions_lower"]
        > 2 * abs(row["time_placebo_transactions"])
    )


def test_holes_in_the_weeks_and_repeated_keys_are_refused() -> None:
    events, (lines, groups) = ledger(STAGGERED), sums(flat())
    with pytest.raises(BadFrame, match="contiguous"):
        promotion_lift(events, lines, groups, [WEEKS[0], WEEKS[2]])
    with pytest.raises(BadFrame, match="keys repeat"):
        promotion_lift(events, pl.concat([lines, lines]), groups, WEEKS)
    with pytest.raises(BadFrame, match="quantity_units"):
        promotion_lift(events, lines.drop("quantity_units"), groups, WEEKS)


def test_more_confidence_is_a_wider_interval(market: Market) -> None:
    inputs = lift_inputs(market)
    widths = []
    for confidence in (0.5, 0.9, 0.99):
        design = replace(DEFAULT_DESIGN, confidence=confidence)
        table = promotion_lift(inputs.events, inputs.lines, inputs.groups, inputs.weeks, design)
        row = table.filter((pl.col("level") == "all") & (pl.col("part") == "net")).to_dicts()[0]
        widths.append(row["incremental_transactions_upper"] - row["incremental_transactions_lower"])
    assert widths == sorted(widths)


def test_other_groups_that_move_more_than_the_promoted_line_are_a_doubt() -> None:
    lines = flat()
    random = np.random.default_rng(4)
    lines["B1"][:8, 20:23] *= 1.4
    noisy = {name: random.poisson(counts).astype(float) for name, counts in lines.items()}
    row = net(lift([*STAGGERED, *bystanders()], noisy).filter(pl.col("product_line") == "A1"))
    assert row["verdict"] != "measured"
    assert "Other groups moved by +" in row["reason"]
    assert row["incremental_transactions"] > 50
    assert row["incremental_transactions_lower"] < 0


def test_the_placebo_in_time_finds_what_was_there_before() -> None:
    """The run spans weeks 20 to 22 and acts for three more: earlier by six weeks, it ends before it begins."""
    lines = flat()
    for store in range(8):
        start = 14 + store % 2
        lines["A1"][store, start : start + 2] *= 2.0
        lines["A1"][store, start + 2 : start + 5] *= 0.8
    row = net(lift([*STAGGERED, *bystanders()], lines).filter(pl.col("product_line") == "A1"))
    assert row["time_placebo_transactions"] == pytest.approx((2 - 0.6) * flat()["A1"][:8, 0].sum(), rel=0.06)


def test_where_other_groups_are_promoted_too_the_halo_is_that_of_the_other_stores() -> None:
    lines = flat()
    for store in range(8):
        lines["B1"][store, 20:22] *= 3.0 if store < 2 else 1.1
    promoted = [run(store, 20) for store in range(8)]
    meanwhile = [run(store, 20, line="B1") for store in range(2)]
    table = lift([*promoted, *meanwhile, *bystanders()], lines).filter(pl.col("product_line") == "A1")
    halo = dict(table.select("part", "incremental_transactions").iter_rows())["other_groups"]
    assert halo == pytest.approx(0.1 * 2 * 3 * flat()["A1"][2:8, 0].sum() * 8 / 6, rel=0.01)

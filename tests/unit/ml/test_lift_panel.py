"""Panels and masks of a lift, against loops over the ledger's rows."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lift_panel import MEASURES, Panel, event_cells, following, lift_panel
from tests.unit.ml.lift_data import FIRST, STORES, WEEKS, flat, ledger, run, sums

RUNS = [
    *[run(store, 20 + store % 3, weeks=1 + store % 4) for store in range(8)],
    *[run(store, 5, kind="mailer") for store in range(len(STORES))],
    *[run(store, 30, line="A2", kind="mailer") for store in range(5)],
    run(3, 33, line="B1"),
]
AFTER = 3


@pytest.fixture(scope="module")
def panel() -> Panel:
    return lift_panel(ledger(RUNS), *sums(flat()), WEEKS, AFTER)


def looped(chosen: list[tuple[str, str, str, int, int]], after: int) -> np.ndarray:
    cells = np.zeros((len(STORES), len(WEEKS)), dtype=bool)
    for store, _, _, first, weeks in chosen:
        for week in range(first, min(first + weeks + after, len(WEEKS))):
            cells[STORES.index(store), week] = True
    return cells


def test_sums_lie_where_they_belong(panel: Panel) -> None:
    assert (panel.stores, panel.weeks) == (STORES, WEEKS)
    assert panel.lines["A1"].shape == (len(MEASURES), len(STORES), len(WEEKS))
    assert panel.lines["A1"][0] == pytest.approx(flat()["A1"])
    assert panel.groups["A"] == pytest.approx(panel.lines["A1"] + panel.lines["A2"])
    assert panel.total == pytest.approx(panel.groups["A"] + panel.groups["B"])
    assert panel.line("C1").sum() == 0


def test_touched_cells_equal_a_loop_and_what_runs_everywhere_touches_no_other_kind(panel: Panel) -> None:
    displays = [row for row in RUNS if row[1:3] == ("A1", "display")]
    mailers = [row for row in RUNS if row[1:3] == ("A1", "mailer")]
    assert np.array_equal(panel.touched_line("A1", "display"), looped(displays, AFTER))
    assert np.array_equal(panel.touched_line("A1", "mailer"), looped([*displays, *mailers], AFTER))
    group = [row for row in RUNS if row[1] == "A2" or row[1:3] == ("A1", "display")]
    assert np.array_equal(panel.touched_group("A"), looped(group, AFTER))
    assert np.array_equal(panel.touched_others("B"), panel.touched_group("A"))
    assert panel.touched_others("A").sum() == 2 + AFTER


def test_where_promotions_are_the_normal_state_nothing_is_touched() -> None:
    always = [run(store, 2 + store % 2, weeks=36) for store in range(15)]
    crowded = lift_panel(
        ledger([*always, *(run(store, 3, line="B1") for store in range(len(STORES)))]), *sums(flat()), WEEKS, AFTER
    )
    assert crowded.touched_group("A").sum() == 0
    assert crowded.touched_line("A1", "display").sum() > 0


def test_following_weeks_are_those_that_are_not_promoted_again() -> None:
    rows = ledger([run(0, 10, weeks=2), run(0, 13, weeks=1), run(1, 38, weeks=2)])
    cells = event_cells(rows, STORES, WEEKS)
    assert np.flatnonzero(cells[0]).tolist() == [10, 11, 13]
    assert np.flatnonzero(following(cells, AFTER)[0]).tolist() == [12, 14, 15, 16]
    assert following(cells, AFTER)[1].sum() == 0


def test_an_event_before_the_weeks_at_hand_has_only_its_rest_in_them() -> None:
    rows = ledger([run(0, 3, weeks=4)])
    assert np.flatnonzero(event_cells(rows, STORES, WEEKS[5:])[0]).tolist() == [0, 1]
    assert event_cells(rows, STORES, WEEKS[10:]).sum() == 0
    assert WEEKS[0] == FIRST

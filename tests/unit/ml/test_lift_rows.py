"""From both designs and their placebos to a verdict and an interval."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lift import lift_rows
from ml.lift_estimate import Lift
from ml.lift_panel import MEASURES
from ml.lift_parts import PARTS, Effects


def lift_of(effects: float, synthetic: float, earlier: float) -> Lift:
    """Net effects with an error of two transactions: of the first design, the second one, and in the weeks before."""
    noise = np.random.default_rng(3).normal(0, 1, (len(PARTS), 3, 201))
    noise[:, :, 0] = 0
    keys = [(part, measure) for part in PARTS for measure in MEASURES]
    nothing = np.zeros(0)
    first = {key: noise[PARTS.index(key[0]), 0] + effects / 4 for key in keys}
    return Lift(
        effects={key: Effects(values, 100.0, nothing, nothing) for key, values in first.items()},
        synthetic={key: noise[PARTS.index(key[0]), 1] + synthetic / 4 for key in keys},
        naive=0.0,
        measured=30,
        untreated=30,
        space_p_value=None,
        earlier=dict.fromkeys(MEASURES, noise[0, 2] + earlier),
    )


def ends(lift: Lift) -> tuple[str, float, float]:
    row = next(row for row in lift_rows(lift, 0.9) if row["part"] == "net")
    return row["verdict"], row["incremental_transactions_lower"], row["incremental_transactions_upper"]


def test_designs_that_disagree_and_placebos_that_fail_widen_the_interval() -> None:
    verdict, lower, upper = ends(lift_of(100.0, 100.0, 0.0))
    assert verdict == "measured"
    assert (lower, upper) == pytest.approx((100 - 1.7 * 2, 100 + 1.7 * 2), abs=0.5)
    verdict, wide_lower, wide_upper = ends(lift_of(100.0, 60.0, 0.0))
    assert verdict == "designs_disagree"
    assert (wide_lower, wide_upper) == pytest.approx((60 - 1.7 * 2, upper), abs=0.5)
    verdict, wide_lower, wide_upper = ends(lift_of(100.0, 100.0, -30.0))
    assert verdict == "placebo_failed"
    assert (wide_lower, wide_upper) == pytest.approx((lower - 30, upper + 30))
    verdict, wide_lower, wide_upper = ends(lift_of(100.0, 60.0, 30.0))
    assert verdict == "designs_disagree"
    assert (wide_lower, wide_upper) == pytest.approx((60 - 1.7 * 2 - 30, upper + 30), abs=0.5)

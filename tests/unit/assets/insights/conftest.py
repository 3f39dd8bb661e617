"""The small report content as a fixture, and a way to change parts of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from assets.insights.content import Champion, ReportContent, Scope
from tests.unit.assets.insights import small_activities as activities
from tests.unit.assets.insights import small_frames as frames


@pytest.fixture(scope="session")
def base_content() -> ReportContent:
    tests = frames.make_tests()
    return ReportContent(
        as_of=frames.AS_OF,
        lake_name="test lake",
        source_name="A shop",
        source_notice="Made by hand.",
        scope=Scope(frames.GROUPS, len(frames.STORES), len(frames.STORES) * len(frames.GROUPS)),
        series=frames.make_series(),
        forecasts=frames.make_forecasts(),
        earlier=frames.make_earlier(),
        totals=frames.make_totals(frames.make_forecasts(), tests),
        earlier_totals=frames.make_totals(frames.make_earlier(), tests),
        tests=tests,
        plans=frames.make_plans(),
        scored=frames.make_scored(),
        comparisons=frames.make_comparisons(),
        drivers=activities.make_drivers(),
        lift=activities.make_lift(),
        advice=activities.make_advice(),
        advice_outcomes=activities.make_outcomes(),
        backtest=frames.make_backtest(),
        accuracy=frames.make_accuracy(),
        champion=Champion("ab" * 32, frames.AS_OF, ("It beats both simple rules.",)),
        ledger=frames.make_ledger(),
        checks=frames.make_checks(),
        freshness=frames.make_freshness(),
        source_limits=("The shop is made up.",),
    )


@pytest.fixture
def make_content(base_content: ReportContent) -> Callable[..., ReportContent]:
    """The content with some fields changed."""

    def make(**changes: Any) -> ReportContent:
        return replace(base_content, **changes)

    return make

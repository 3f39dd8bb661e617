"""Assumptions: whose file it is, what it must say, and the sentence for what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ml.actions_limits import Refused
from resources.assumptions import DEMO_ASSUMPTIONS, assumptions_text, load_assumptions
from resources.settings import Settings, load_settings


@pytest.fixture
def demo(tmp_path: Path) -> Settings:
    return load_settings({"LIFTLAKE_HOME": str(tmp_path)})


def written(settings: Settings, **change: object) -> Settings:
    content = yaml.safe_load(DEMO_ASSUMPTIONS.read_text(encoding="utf-8")) | change
    kept = {name: value for name, value in content.items() if value is not None}
    (settings.home / "assumptions.yaml").write_text(yaml.safe_dump(kept), encoding="utf-8")
    return settings


def test_the_demo_has_a_default_for_each_of_its_product_groups(demo: Settings):
    found = load_assumptions(demo)
    found.require(("display", "mailer"), demo.lake.scope.product_groups)
    assert set(found.margin_percent) == set(demo.lake.scope.product_groups)


def test_a_file_of_its_own_beats_the_default_and_is_named_by_its_numbers(demo: Settings):
    before = load_assumptions(demo).version
    assert load_assumptions(written(demo)).version == before
    found = load_assumptions(written(demo, seed=3))
    assert found.seed == 3
    assert found.version != before


def test_another_source_has_no_default(demo: Settings):
    other = demo.model_copy(update={"lake": demo.lake.model_copy(update={"source": "mine"})})
    assert assumptions_text(other) == ""
    with pytest.raises(Refused, match=r"There is no assumptions\.yaml in .*Copy deploy/assumptions\.yaml"):
        load_assumptions(other)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"costs_usd": None}, "costs_usd: Field required"),
        ({"limits": {"slots_per_store": 2}}, r"limits\.budget_usd: Field required"),
        ({"limits": {"budget_usd": -1, "slots_per_store": 2}}, "budget_usd must be an amount above 0"),
        ({"costs_usd": {"radio": 1}}, "no activity of the kind 'radio'"),
        ({"margin_percent": {"BEERS/ALES": "much"}}, "margin_percent.BEERS/ALES"),
        ({"rent": 3}, "rent: Extra inputs"),
    ],
)
def test_a_missing_or_wrong_assumption_is_named(demo: Settings, change: dict, named: str):
    with pytest.raises(Refused, match=f"assumptions.yaml: .*{named}"):
        load_assumptions(written(demo, **change))


def test_a_file_that_is_no_yaml_is_refused(demo: Settings):
    (demo.home / "assumptions.yaml").write_text("costs_usd: [", encoding="utf-8")
    with pytest.raises(Refused, match="no YAML"):
        load_assumptions(demo)

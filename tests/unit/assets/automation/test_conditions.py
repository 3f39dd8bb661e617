"""When automation asks for what is kept: Dagster's own evaluation of the condition, tick by tick."""

from __future__ import annotations

import dagster as dg

from assets.automation.conditions import once

STUDY, ROWS = dg.AssetKey("study"), dg.AssetKey("rows")


def lake(code: str) -> list[dg.AssetsDefinition]:
    @dg.asset
    def rows() -> None: ...

    @dg.asset(deps=[rows], code_version=code, automation_condition=once())
    def study() -> None: ...

    return [rows, study]


def test_what_is_kept_is_asked_for_when_it_is_missing_or_its_code_changed_only():
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = None

        def asked(code: str = "1") -> bool:
            nonlocal cursor
            found = dg.evaluate_automation_conditions(dg.Definitions(lake(code)), instance, cursor=cursor)
            cursor = found.cursor
            return found.total_requested > 0

        def make(code: str, *keys: dg.AssetKey) -> None:
            chosen = list(keys)
            dg.materialize(lake(code), selection=chosen, instance=instance)

        assert not asked()
        make("1", ROWS)
        assert asked()
        assert not asked()
        make("1", STUDY)
        make("1", ROWS)
        assert not asked()
        assert asked("2")
        make("2", STUDY)
        make("2", ROWS)
        assert not asked("2")

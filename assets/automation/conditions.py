"""When automation materialises an asset: every named condition, with its trigger, its failure story and its price.

Belongs here: conditions. Does not belong here: which asset uses which (the assets say) or schedules (jobs).
"""

from __future__ import annotations

import dagster as dg


def when_inputs_pass() -> dg.AutomationCondition:
    """Edge-triggered: an upstream week was materialised, and every blocking check of every input passed.

    A failed audit leaves the old publication in place and this condition false, so that nothing downstream runs on
    it; the mended upstream is a new edge. A level trigger ("while stale") would ask again every tick for as long as
    something stays broken. Price: a week whose input was published by hand has to be requested by hand.
    """
    return (dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()).with_label(
        "inputs updated and audited"
    )


def weekly_after_close() -> dg.AutomationCondition:
    """Every Monday at 06:00 UTC, once all inputs were updated since the last Monday and passed their audits.

    Models are not retrained with every late receipt: a week's worth of data is the unit that the gate can judge.
    Price: a correction in mid-week reaches the model on the next Monday.
    """
    return (
        dg.AutomationCondition.on_cron("0 6 * * 1") & dg.AutomationCondition.all_deps_blocking_checks_passed()
    ).with_label("Monday 06:00 UTC, inputs audited")


def once() -> dg.AutomationCondition:
    """When the table is not there yet, or its code, contract or settings changed, and all inputs passed their audits.

    For what is kept while its inputs move on. Price: a renewal has to be asked for by name.
    """
    is_handled = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    is_new = dg.AutomationCondition.missing().newly_true().since(is_handled)
    is_changed = dg.AutomationCondition.code_version_changed().since(is_handled)
    return (
        (is_new | is_changed)
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.in_progress()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
    ).with_label("not there yet or made by other code, inputs audited")

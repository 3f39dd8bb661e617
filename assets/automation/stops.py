"""Whom a table that broke its contract stops.

Belongs here: the tables that use a broken column. Does not belong here: what is broken (resources.verdicts), what is
behind (plan).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assets.automation.plan import Key
from checks.contracts.impact import Consumer, impact
from resources.verdicts import Fault


def stopped_by(faults: Mapping[Key, Fault], consumers: Sequence[Consumer]) -> dict[Key, str]:
    """The tables that use a broken column, directly or through others that do, and why each has to wait.

    A table that stands below a stopped one and uses none of what is broken goes on: it reads what was published before.
    """
    found: dict[Key, str] = {}
    for key, fault in faults.items():
        name = ".".join(key)
        rules = f"rule {', '.join(fault.rules)} of {name}" if fault.rules else f"the check of {name}"
        for use in impact({name: fault.columns}, consumers):
            layer, _, table = use.table.partition(".")
            if use.certainty == "uses":
                by = f"uses {', '.join(use.by)}, and {rules} does not hold"
                found.setdefault((layer, table), by)
    return found

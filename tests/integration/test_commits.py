"""Delta's own history of a table is the oracle of what its log says of all tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.contracts.loader import load_contracts
from resources.commits import Commit, Provenance
from resources.lake import Lake
from tests.integration.test_lake import WEEKS, rows

pytestmark = pytest.mark.spark


def test_the_log_of_all_tables_says_what_the_history_of_each_says(lake: Lake):
    of_plans = load_contracts()["gold", "promotion_plans"]
    plans, never = replace(of_plans, name="plans_of_twelve_commits"), replace(of_plans, name="plans_never_written")
    lake.prepare()
    for number in range(12):
        lake.write(plans, rows(WEEKS), Provenance("c", {"bronze.it's": str(number)}))
    lake.spark.sql(f"OPTIMIZE {plans.audit_name}")
    found = lake.newest_of([plans, never])
    assert found[plans.key] == lake.newest(plans)
    assert found[plans.key].provenance == Provenance("c", {"bronze.it's": "11"})
    assert never.key not in found
    lake.spark.sql(f"DELETE FROM {plans.audit_name}")
    assert lake.newest_of([plans])[plans.key] == Commit(lake.newest(plans).version, None)


def test_where_no_table_is_nothing_is_found(lake: Lake):
    assert lake.newest_of([]) == {}
    assert lake.existing(["no_such_schema.table", "gold.never"]) == set()

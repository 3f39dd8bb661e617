"""Delta's own history of a table is the oracle of what is read from the files of its log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.contracts.loader import load_contracts
from resources.commits import LAST_CHECKPOINT, UPKEEP, Commit, Provenance, commits_between
from resources.lake import Lake
from resources.table_files import is_there, log_of
from tests.integration.test_lake import WEEKS, rows

pytestmark = pytest.mark.spark


def history(lake: Lake, table: str) -> list[Commit]:
    """The versions of a table that changed rows, newest first, as Delta says them."""
    found = lake.spark.sql(f"DESCRIBE HISTORY {table}").collect()
    return [
        Commit(
            row["version"],
            Provenance.from_json(row["userMetadata"]) if row["userMetadata"] else None,
            int(row["operationMetrics"]["numOutputRows"]) if "numOutputRows" in row["operationMetrics"] else None,
        )
        for row in found
        if row["operation"] not in UPKEEP
    ]


def test_the_log_says_what_the_history_says(lake: Lake):
    of_plans = load_contracts()["gold", "promotion_plans"]
    plans, never = replace(of_plans, name="plans_of_twelve_commits"), replace(of_plans, name="plans_never_written")
    lake.prepare()
    with lake.set_to({"spark.databricks.delta.properties.defaults.checkpointInterval": "5"}):
        for number in range(12):
            lake.write(plans, rows(WEEKS), Provenance("c", {"bronze.it's": str(number)}))
            assert lake.newest(plans) == history(lake, plans.audit_name)[0]
    assert is_there(lake.files, f"{log_of(plans.audit_name)}/{LAST_CHECKPOINT}")
    lake.spark.sql(f"OPTIMIZE {plans.audit_name}")
    assert lake.newest(plans).provenance == Provenance("c", {"bronze.it's": "11"})
    assert lake.newest_of([plans, never]) == {plans.key: lake.newest(plans)}
    assert commits_between(lake.files, plans.audit_name, 2, 8) == [
        commit for commit in history(lake, plans.audit_name) if 2 < commit.version <= 8
    ]
    lake.spark.sql(f"DELETE FROM {plans.audit_name}")
    assert lake.newest(plans) == history(lake, plans.audit_name)[0]
    assert lake.newest(plans).provenance is None


def test_where_no_table_is_nothing_is_found(lake: Lake):
    assert lake.newest_of([]) == {}
    assert lake.existing(["no_such_schema.table", "gold.never"]) == set()

"""`liftlake checks history`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import typer
from dagster import AssetCheckEvaluation, DagsterInstance
from rich.table import Table

from assets.automation.runs import END_TAG, START_TAG
from checks.asset_checks.audit import CHECKED_WEEK_TAG, CONTRACT_CHECK
from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.session import session

NOTHING: dict[str, Any] = {"outcome": "not_run", "version": None, "rows": 0, "broken_rules": {}}
checks = typer.Typer(help="Results of checks over time.")


@checks.callback()
def group() -> None:
    """Results of checks over time."""


@checks.command()
@command
def history(
    table: str = typer.Argument(..., help="Table such as silver.dim_product."),
    limit: int = typer.Option(20, "--limit", min=1, help="At most so many results, newest first."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Every result of a table's contract check: when, over which weeks, and which rules did not hold."""
    with session() as opened:
        key = next((node.key for node in opened.nodes() if ".".join(node.key) == table), None)
        if key is None:
            stop(f"Unknown table {table}. `liftlake status` lists them.", WRONG_USE)
        rows = past_results(opened.instance, dg.AssetCheckKey(dg.AssetKey(key), CONTRACT_CHECK), limit)
    if as_json:
        print_json({"results": rows})
        return
    shown = Table("at (UTC)", "weeks", "version", "rows", "outcome", "rules that did not hold")
    for row in rows:
        broken = ", ".join(f"{rule} ({failing:,})" for rule, failing in row["broken_rules"].items())
        shown.add_row(
            f"{row['at']:%Y-%m-%d %H:%M:%S}", row["partition"] or "all", str(row["version"]), f"{row['rows']:,}",
            row["outcome"], broken,
        )  # fmt: skip
    out.print(shown)


def past_results(instance: DagsterInstance, key: dg.AssetCheckKey, limit: int) -> list[dict[str, Any]]:
    """The newest evaluations of a contract check, with the weeks of their runs."""
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=limit)
    rows = []
    for record in records:
        event = record.event.dagster_event if record.event else None
        run = instance.get_run_by_id(record.run_id)
        at = datetime.fromtimestamp(record.create_timestamp, UTC)
        if event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            result = result_of(event.asset_check_evaluation_data)
        else:
            # The run ended without a result, and a check that did not run has not passed.
            result = NOTHING
        rows.append({"at": at, "run_id": record.run_id, "partition": partition_of(run.tags if run else {}), **result})
    return rows


def result_of(evaluation: AssetCheckEvaluation) -> dict[str, Any]:
    """One evaluation as the history shows it."""
    rules: Any = evaluation.metadata["rules"].value
    return {
        "outcome": "passed" if evaluation.passed else "failed",
        "version": evaluation.metadata["delta_version"].value,
        "rows": evaluation.metadata["rows_audited"].value,
        "broken_rules": {rule["rule"]: rule["failing_rows"] for rule in rules if rule["outcome"] != "passed"},
    }


def partition_of(tags: Mapping[str, str]) -> str | None:
    """The week or range of weeks that a run was about."""
    first, last = tags.get(START_TAG), tags.get(END_TAG)
    if first and last:
        return first if first == last else f"{first}...{last}"
    return tags.get(CHECKED_WEEK_TAG) or tags.get("dagster/partition")

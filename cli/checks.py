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
from checks.asset_checks.audit import CHECKED_WEEK_TAG
from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.selection import chosen_nodes
from cli.workbench import workbench
from resources.verdicts import CONTRACT_CHECK

NOTHING: dict[str, Any] = {"outcome": "not_run", "version": None, "rows": 0, "broken_rules": {}}
# So many results of a table are looked through.
MOST = 1_000
checks = typer.Typer(help="Results of checks over time.")


@checks.callback()
def group() -> None:
    """Results of checks over time."""


@checks.command()
@command
def history(
    selection: list[str] = typer.Argument(..., help="Tables such as silver.dim_product, or layers."),
    partition: str | None = typer.Option(None, "--partition", help="Only results about this business week."),
    limit: int = typer.Option(20, "--limit", min=1, help="At most so many results, newest first."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Every result of the tables' contract checks: when, over which weeks, and which rules did not hold."""
    with workbench() as opened:
        if partition is not None and partition not in opened.graph.week_keys():
            stop(f"{partition} is no business week of this lake: give the first day of one.", WRONG_USE)
        keys = [dg.AssetKey(node.key) for node in chosen_nodes(opened.nodes(), selection)]
        found = [row for key in keys for row in past_results(opened.instance, key, partition)]
    rows = sorted(found, key=lambda row: row["at"], reverse=True)[:limit]
    if as_json:
        print_json({"results": rows})
        return
    shown = Table("at (UTC)", "table", "weeks", "version", "rows", "outcome", "rules that did not hold")
    for row in rows:
        broken = ", ".join(f"{rule} ({failing:,})" for rule, failing in row["broken_rules"].items())
        shown.add_row(
            f"{row['at']:%Y-%m-%d %H:%M:%S}", row["asset"], row["partition"] or "all", str(row["version"]),
            f"{row['rows']:,}", row["outcome"], broken,
        )  # fmt: skip
    out.print(shown)


def past_results(instance: DagsterInstance, asset: dg.AssetKey, week: str | None = None) -> list[dict[str, Any]]:
    """Every evaluation of a table's contract check, newest first, with the weeks of its run; all, or about one week."""
    check = dg.AssetCheckKey(asset, CONTRACT_CHECK)
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=MOST)
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
        span = span_of(run.tags if run else {})
        if week is None or span is None or span[0] <= week <= span[1]:
            about = None if span is None else "...".join(dict.fromkeys(span))
            name = ".".join(asset.path)
            rows.append({"at": at, "asset": name, "run_id": record.run_id, "partition": about, **result})
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


def span_of(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """The first and last week that a run was about; None for the whole table."""
    first, last = tags.get(START_TAG), tags.get(END_TAG)
    if first and last:
        return first, last
    only = tags.get(CHECKED_WEEK_TAG) or tags.get("dagster/partition")
    return (only, only) if only else None

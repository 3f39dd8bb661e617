"""`liftlake check`."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import dagster as dg
import typer
from dagster import AssetCheckEvaluation, DagsterEventType

from assets.automation.runs import QUIET, failures_in
from checks.asset_checks.audit import CHECKED_WEEK_TAG
from cli.check_reports import as_markdown, show, write_junit
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, print_json, stop
from cli.selection import chosen_nodes
from cli.workbench import Workbench, workbench
from resources.verdicts import CONTRACT_CHECK

CHECK_JOB = "all_checks"


@command
def check(
    selection: list[str] | None = typer.Argument(None, help="Tables such as silver.dim_product, or layers."),
    every: bool = typer.Option(False, "--all", help="Check every table."),
    partition: str | None = typer.Option(None, "--partition", help="Only this business week, by its first day."),
    junit: Path | None = typer.Option(None, "--junit", help="Write a JUnit file, one test case per rule."),
    markdown: Path | None = typer.Option(None, "--markdown", help="Write a summary, for example for a pull request."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run contract and freshness checks of the newest versions; exit code 1 when one fails or does not run."""
    if not every and not selection:
        stop("Name tables or layers, or say --all.", WRONG_USE)
    with workbench() as opened:
        nodes = opened.nodes()
        keys = [dg.AssetKey(node.key) for node in (nodes if every else chosen_nodes(nodes, selection or []))]
        if partition is not None and partition not in opened.graph.week_keys():
            stop(f"{partition} is no business week of this lake: give the first day of one.", WRONG_USE)
        results = run_checks(opened, keys, partition)
    outcomes = [row["outcome"] for row in results if row["severity"] == "error" or row["outcome"] == "not_run"]
    counts = {name: outcomes.count(name) for name in ("passed", "failed", "not_run")}
    warned = sum(row["severity"] == "warn" and row["outcome"] == "failed" for row in results)
    if junit is not None:
        write_junit(junit, results)
    if markdown is not None:
        markdown.write_text(as_markdown(results, counts, warned), encoding="utf-8")
    if as_json:
        print_json({**counts, "warned": warned, "results": results})
    else:
        show(results, counts, warned)
    if counts["failed"] or counts["not_run"]:
        raise typer.Exit(SAYS_NO)


def run_checks(opened: Workbench, keys: list[dg.AssetKey], week: str | None = None) -> list[dict[str, Any]]:
    """Evaluate the checks as one Dagster run, recorded like any other; one row per rule. One week publishes nothing."""
    checks = [check for check in opened.definitions.asset_checks or [] if isinstance(check, dg.AssetChecksDefinition)]
    chosen = [item for item in checks if {key.asset_key for key in item.check_keys} & set(keys)]
    wanted = [key for item in chosen for key in item.check_keys]
    selection = dg.AssetSelection.checks(*wanted)
    checking = dg.Definitions(
        assets=[dg.AssetSpec(key) for key in keys],
        asset_checks=chosen,
        jobs=[dg.define_asset_job(CHECK_JOB, selection)],
        resources=opened.definitions.resources,
        executor=dg.in_process_executor,
    )
    done = checking.resolve_job_def(CHECK_JOB).execute_in_process(
        instance=opened.instance, raise_on_error=False, run_id=str(uuid.uuid4()), run_config=QUIET,
        tags={CHECKED_WEEK_TAG: week} if week else {},
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    evaluated = set()
    for event in done.all_events:
        if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            evaluated.add(evaluation.asset_check_key)
            rows += rows_of(evaluation, week)
        for failure in failures_in(event):
            err.print(f"{failure.name}: {failure.reason}", highlight=False)
    owners = {contract.key: contract.owner for contract in opened.graph.contracts.values()}
    missed = [key for key in wanted if key not in evaluated]
    return rows + [not_run(key, week, owners[key.asset_key.path[0], key.asset_key.path[1]]) for key in missed]


def rows_of(evaluation: AssetCheckEvaluation, week: str | None) -> list[dict[str, Any]]:
    """One result per rule of a contract check, one for any other check."""
    asset = ".".join(evaluation.asset_key.path)
    rules: Any = evaluation.metadata["rules"].value if "rules" in evaluation.metadata else []
    if evaluation.check_name == CONTRACT_CHECK:
        return [
            {
                "asset": asset, "check": rule["rule"], "partition": week, "severity": rule["severity"],
                "outcome": rule["outcome"], "failing_rows": rule["failing_rows"], "example": rule["example"],
                "owner": rule["owner"],
            }
            for rule in rules
        ]  # fmt: skip
    severity = "warn" if evaluation.severity == dg.AssetCheckSeverity.WARN else "error"
    outcome = "passed" if evaluation.passed else "failed"
    return [
        {
            "asset": asset, "check": evaluation.check_name, "partition": week, "severity": severity,
            "outcome": outcome, "failing_rows": 0, "example": [],
            "owner": str(evaluation.metadata["owner"].value) if "owner" in evaluation.metadata else None,
        }
    ]  # fmt: skip


def not_run(key: dg.AssetCheckKey, week: str | None, owner: str) -> dict[str, Any]:
    """A check that gave no result counts as one that did not pass."""
    return {
        "asset": ".".join(key.asset_key.path), "check": key.name, "partition": week, "severity": "error",
        "outcome": "not_run", "failing_rows": 0, "example": [], "owner": owner,
    }  # fmt: skip

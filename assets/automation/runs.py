"""Executing planned runs in this process, on the same instance that the UI reads.

Belongs here: one planned run -> one Dagster run. Does not belong here: what to run (plan).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, EventLogEntry

from assets.automation.jobs import WHOLE_GRAPH
from assets.automation.plan import Key, Run
from assets.provenance import pair
from resources.spans import Weeks, between
from resources.verdicts import CONTRACT_CHECK, Fault, fault_of

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
OWN_ERRORS = ("assets.", "checks.", "ml.", "resources.")
START_TAG, END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
WEEK_TAG = "dagster/partition"


@dataclass(frozen=True)
class Failed:
    """A step or a blocking check that said no: its name and why.

    `fault` is what a contract check found broken; `weeks` are those that failed, none for an unpartitioned table.
    """

    name: str
    reason: str
    fault: Fault | None = None
    weeks: Weeks = ()


def execute(
    definitions: dg.Definitions,
    instance: DagsterInstance,
    run: Run,
    on_event: Callable[[DagsterEvent], None],
    tags: Mapping[str, str],
) -> list[Failed]:
    """Execute one planned run; returns what failed, nothing when all is well.

    Args:
        definitions: the whole graph.
        instance: where events are recorded.
        run: assets and weeks.
        on_event: called with every Dagster event as it happens, for progress.
        tags: more tags of the run.
    """
    weeks = {START_TAG: run.weeks[0].isoformat(), END_TAG: run.weeks[-1].isoformat()} if run.weeks is not None else {}
    failures: list[Failed] = []

    def listen(entry: EventLogEntry) -> None:
        if entry.dagster_event is not None:
            on_event(entry.dagster_event)
            failures.extend(failures_in(entry.dagster_event, run.weeks or ()))

    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, listen)
    done = definitions.resolve_job_def(WHOLE_GRAPH).execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(key) for key in run.keys],
        tags={**tags, **weeks},
        raise_on_error=False,
        run_id=run_id,
        # The event store keeps everything; the terminal shows progress.
        run_config=QUIET,
    )
    if not done.success and not failures:
        failures.append(Failed("run", _run_failure(done.all_events) or f"run {run_id} ended without success"))
    return failures


def failures_in(event: DagsterEvent, weeks: Weeks = ()) -> list[Failed]:
    """What an event of a run of these weeks says went wrong: a step that is not retried, a check that did not pass.

    Raises:
        KeyboardInterrupt: the user stopped the run; Dagster makes a failure of it.
    """
    if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed or evaluation.severity != dg.AssetCheckSeverity.ERROR:
            return []
        fault = fault_of(evaluation) if evaluation.check_name == CONTRACT_CHECK else None
        refused = fault.weeks if fault is not None and fault.weeks else weeks
        return [Failed(".".join(evaluation.asset_key.path), _broken_rules(evaluation), fault, refused)]
    if event.event_type == DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
        # Our own errors say what to do; below them lies what they came from.
        while error is not None and error.cause is not None and not error.message.startswith(OWN_ERRORS):
            error = error.cause
        if error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            raise KeyboardInterrupt
        reason = _first_line(error.message if error else "no reason given")
        # The check itself has said which rules do not hold.
        name = (event.step_key or "step").replace("__", ".")
        return [] if "blocking asset check" in reason else [Failed(name, reason, weeks=weeks)]
    return []


def weeks_of_run(tags: Mapping[str, str]) -> Weeks:
    """The weeks of a run by its tags; none for a run without weeks."""
    first, last = tags.get(START_TAG) or tags.get(WEEK_TAG), tags.get(END_TAG) or tags.get(WEEK_TAG)
    return between(date.fromisoformat(first), date.fromisoformat(last)) if first and last else ()


def note(event: DagsterEvent, made: dict[Key, set[date | None]], done: dict[Key, set[date | None]]) -> None:
    """Note what an event of a run says was made, and what of it is done: the weeks that its contract check published.

    `made` is of the one run; a table without weeks has the week None.
    """
    if event.event_type == DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
        week = date.fromisoformat(event.partition) if event.partition else None
        made.setdefault(pair(event.asset_key), set()).add(week)
    if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if evaluation.check_name != CONTRACT_CHECK:
            return
        key = pair(evaluation.asset_key)
        refused = () if evaluation.passed else fault_of(evaluation).weeks
        if evaluation.passed or refused:
            done.setdefault(key, set()).update(made.get(key, set()) - {*refused})


def _run_failure(events: Sequence[DagsterEvent]) -> str | None:
    """Why a run failed outside its steps, for example because a resource could not be opened."""
    for event in events:
        if event.event_type == DagsterEventType.PIPELINE_FAILURE and event.job_failure_data.error:
            error = event.job_failure_data.error
            return _first_line((error.cause or error).message)
    return None


def _broken_rules(evaluation: dg.AssetCheckEvaluation) -> str:
    """Which rules of a contract do not hold and on how many rows; the name of any other check."""
    if "rules" not in evaluation.metadata:
        return f"check {evaluation.check_name} does not hold"
    rules: Any = evaluation.metadata["rules"].value
    broken = [rule for rule in rules if rule["outcome"] != "passed" and rule["severity"] == "error"]
    return ", ".join(f"rule {rule['rule']} {rule['outcome']} on {rule['failing_rows']:,} rows" for rule in broken)


def _first_line(message: str) -> str:
    """The sentence for the user, without the class path in front of it."""
    line = message.strip().splitlines()[0]
    head, _, rest = line.partition(": ")
    return rest if rest and " " not in head else line

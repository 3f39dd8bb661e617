"""One command's view of the lake: settings, graph, definitions, tables, instance.

Belongs here: opening and closing these together, and running planned work with progress. Does not belong here: what a
command prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import NoReturn

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assets.automation.plan import Node, Run, Work, as_runs, plan
from assets.automation.runs import Failed, execute
from assets.automation.state import nodes_of, state_of
from assets.graph import Graph
from cli.output import SAYS_NO, WRONG_USE, err, stop
from definitions import build_definitions, build_graph
from resources.instance import open_instance
from resources.lake import Lake
from resources.preconditions import full_disk, writable_home
from resources.settings import Settings, load_settings
from resources.spark import SparkDoor

STEP_ENDS = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED}


@dataclass(frozen=True)
class Session:
    """Everything that a command needs; made by `session`."""

    settings: Settings
    graph: Graph
    definitions: dg.Definitions
    lake: Lake
    instance: DagsterInstance

    def nodes(self) -> list[Node]:
        return nodes_of(self.definitions, self.graph)

    def work(self) -> list[Work]:
        """What is behind, upstream first."""
        nodes = self.nodes()
        return plan(nodes, state_of(self.lake, self.graph, nodes))

    def execute(self, work: Sequence[Work]) -> list[Failed]:
        """Run the work with a progress bar; stops at the first run that fails and returns why."""
        self.lake.claim()
        runs = as_runs(work, self.nodes())
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        log = (self.settings.logs / "run.log").open("a", encoding="utf-8")
        # dbt's own lines go to a log: stdout belongs to the command's answer.
        with log, redirect_stdout(log), _progress(runs) as on_event:
            for run in runs:
                failures = execute(self.definitions, self.instance, run, on_event)
                if failures:
                    return failures
        return []


def stop_failed(settings: Settings, failures: Sequence[Failed]) -> NoReturn:
    """End the command with what went wrong in a run."""
    reasons = "; ".join(f"{item.name}: {item.reason}" for item in failures[:3])
    stop(full_disk(settings) or reasons, SAYS_NO)


def require_home(settings: Settings) -> None:
    """End the command with a sentence when the lake's home cannot be written or has no room."""
    home = writable_home(settings)
    if not home.is_met:
        stop(f"{home.name}: {home.found}; {home.mend}.", WRONG_USE)


@contextmanager
def session(settings: Settings | None = None, overrides: Mapping[str, object] | None = None) -> Iterator[Session]:
    """Open the lake for one command.

    Raises:
        SettingsError and the other user errors of cli.output.
    """
    chosen = settings or load_settings()
    require_home(chosen)
    graph = build_graph(chosen)
    with closing(Lake(chosen, SparkDoor(chosen))) as lake:
        resources = {"lake": dg.ResourceDefinition.hardcoded_resource(lake), **(overrides or {})}
        definitions = build_definitions(chosen, resources)
        with open_instance(chosen) as instance:
            yield Session(chosen, graph, definitions, lake, instance)


@contextmanager
def _progress(runs: Sequence[Run]) -> Iterator[Callable[[DagsterEvent], None]]:
    """A bar over steps on a terminal, one line per finished step elsewhere."""
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=False, disable=not err.is_terminal) as bar:
        total = sum(len(run.keys) for run in runs)
        task = bar.add_task("starting", total=total)
        written: set[dg.AssetKey] = set()

        def on_event(event: DagsterEvent) -> None:
            if event.event_type == DagsterEventType.STEP_START:
                bar.update(task, description=(event.step_key or "").replace("__", "."))
            # A range gives one event a week; a table counts once.
            key = event.asset_key
            if event.event_type == DagsterEventType.ASSET_MATERIALIZATION and key is not None and key not in written:
                written.add(key)
                bar.update(task, advance=1)
                if not err.is_terminal:
                    err.print(f"{'.'.join(key.path)} written", highlight=False)

        yield on_event
        bar.update(task, description="done")

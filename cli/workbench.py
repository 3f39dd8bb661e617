"""The workbench of a command that runs or checks assets: a session with the definitions and the Dagster instance.

Belongs here: what is behind, and running planned work with progress. Does not belong here: what a command prints.
Loading it takes seconds: a command that only reads tables opens a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import NoReturn

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assets.automation.plan import Key, Node, Run, Work, as_runs, plan
from assets.automation.runs import Failed, execute
from assets.automation.state import nodes_of, state_of
from assets.automation.stops import stopped_by
from assets.catalogue import graph_assets
from assets.lineage import consumers, read_manifest
from cli.output import SAYS_NO, err, stop
from cli.session import Session, key_of, session
from definitions import build_definitions
from resources.dbt_project import manifest_path
from resources.instance import open_instance
from resources.preconditions import full_disk
from resources.settings import Settings
from resources.verdicts import Fault


@dataclass(frozen=True)
class Workbench(Session):
    """A session, and everything that is needed to run and check assets; made by `workbench`."""

    definitions: dg.Definitions
    instance: DagsterInstance

    def nodes(self) -> list[Node]:
        return nodes_of(self.definitions, self.graph)

    def outlook(self) -> tuple[list[Work], dict[Key, str]]:
        """What is behind, upstream first, and what has to wait for a table that broke its contract, with the reason."""
        nodes = self.nodes()
        state = state_of(self.lake, self.graph, nodes, self.instance)
        stopped = self.stopped_by(state.faults)
        return plan(nodes, state, stopped), stopped

    def stopped_by(self, faults: Mapping[Key, Fault]) -> dict[Key, str]:
        """The tables that use what is broken."""
        if not faults:
            return {}
        manifest = read_manifest(manifest_path(self.settings))
        return stopped_by(faults, consumers(self.graph, graph_assets(self.graph), manifest))

    def execute(self, work: Sequence[Work], tags: Mapping[str, str] | None = None) -> list[Failed]:
        """Run the work with a progress bar, and return why some of it failed; `tags` are those of its runs.

        A table that breaks its contract stops what uses the broken columns; the rest goes on. Any other failure ends
        the work.
        """
        failures: list[Failed] = []
        faults: dict[Key, Fault] = {}
        rest = list(work)
        while rest:
            done, failed = self._attempt(rest, tags or {})
            failures += failed
            found = {key_of(item.name): item.fault for item in failed if item.fault is not None}
            if not failed or len(found) < len(failed):
                return failures
            faults |= found
            out = {*done, *faults, *self.stopped_by(faults)}
            before, rest = rest, [item for item in rest if item.key not in out]
            assert len(rest) < len(before)
        return failures

    def _attempt(self, work: Sequence[Work], tags: Mapping[str, str]) -> tuple[set[Key], list[Failed]]:
        """Run the work up to the first run that fails: the tables that were written, and what failed."""
        self.lake.claim()
        runs = as_runs(work, self.nodes())
        done: set[Key] = set()
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        log = (self.settings.logs / "run.log").open("a", encoding="utf-8")
        # dbt's own lines go to a log: stdout belongs to the command's answer.
        with log, redirect_stdout(log), _progress(runs) as on_event:
            for run in runs:
                failures = execute(self.definitions, self.instance, run, noting(on_event, done), tags)
                if failures:
                    return done, failures
        return done, []


def noting(on_event: Callable[[DagsterEvent], None], done: set[Key]) -> Callable[[DagsterEvent], None]:
    """The listener, which also notes every table that is written."""

    def listen(event: DagsterEvent) -> None:
        if event.event_type == DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
            done.add(key_of(".".join(event.asset_key.path)))
        on_event(event)

    return listen


def stop_failed(settings: Settings, failures: Sequence[Failed]) -> NoReturn:
    """End the command with what went wrong in a run."""
    reasons = "; ".join(f"{item.name}: {item.reason}" for item in failures[:3])
    stop(full_disk(settings) or reasons, SAYS_NO)


@contextmanager
def workbench(settings: Settings | None = None) -> Iterator[Workbench]:
    """Open the lake for one command that runs or checks assets; raises as `session`."""
    with session(settings) as opened, open_instance(opened.settings) as instance:
        definitions = build_definitions(opened.graph, {"lake": dg.ResourceDefinition.hardcoded_resource(opened.lake)})
        yield Workbench(opened.settings, opened.graph, opened.lake, definitions, instance)


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

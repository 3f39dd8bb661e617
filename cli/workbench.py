"""The workbench of a command that runs or checks assets: a session with the definitions and the Dagster instance.

Belongs here: what is behind, and running planned work with progress. Does not belong here: what a command prints.
Loading it takes seconds: a command that only reads tables opens a session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from typing import NoReturn

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assets.automation.plan import Key, Node, Run, State, Work, as_runs, plan
from assets.automation.rest import is_by_week, joined, lost_with, rest_of, waiting_for
from assets.automation.runs import Failed, execute, note
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
from resources.spans import Weeks
from resources.verdicts import Fault, together


@dataclass(frozen=True)
class Workbench(Session):
    """A session, and everything that is needed to run and check assets; made by `workbench`."""

    definitions: dg.Definitions
    instance: DagsterInstance

    def nodes(self) -> list[Node]:
        return nodes_of(self.definitions.resolve_asset_graph(), self.graph)

    def outlook(self) -> tuple[list[Work], dict[Key, str]]:
        """What is behind, upstream first, and what has to wait for a table that broke its contract, with the reason."""
        nodes, state = self.nodes(), self.state()
        stopped = self.stopped_by(state.faults)
        return plan(nodes, state, stopped), stopped

    def state(self) -> State:
        return state_of(self.lake, self.graph, self.nodes(), self.instance)

    def stopped_by(self, faults: Mapping[Key, Fault]) -> dict[Key, str]:
        """The tables that use what is broken."""
        if not faults:
            return {}
        manifest = read_manifest(manifest_path(self.settings))
        return stopped_by(faults, consumers(self.graph, graph_assets(self.graph), manifest))

    def execute(
        self, work: Sequence[Work], tags: Mapping[str, str] | None = None, *, is_isolating: bool = False
    ) -> list[Failed]:
        """Run the work with a progress bar, and return why some of it failed; `tags` are those of its runs.

        A table that breaks its contract stops what uses the broken columns, by week where the other weeks were
        published; the rest goes on. Any other failure ends the work, unless it `is_isolating`: then the weeks of the
        run are halved until the failing ones are alone, and what does not need them goes on.
        """
        nodes = self.nodes()
        failures: list[Failed] = []
        faults: dict[Key, Fault] = {}
        lost: dict[Key, Weeks | None] = {}
        cuts: set[date] = set()
        rest = list(work)
        while rest:
            done, failed, run = self._attempt(rest, nodes, tags or {}, cuts)
            if run is None:
                return failures
            broken = {key_of(item.name): item.fault for item in failed if item.fault is not None}
            if len(broken) < len(failed):
                if not is_isolating or not is_by_week(run, nodes, done) or full_disk(self.settings):
                    return failures + failed
                if run.weeks is not None and len(run.weeks) > 1:
                    cuts.add(run.weeks[len(run.weeks) // 2])
                    failed = [item for item in failed if item.fault is not None]
                else:
                    lost = joined(lost, lost_with(nodes, run, done))
            failures += failed
            for key, fault in broken.items():
                faults[key] = together(faults[key], fault) if key in faults else fault
            waiting = waiting_for(nodes, faults, self.stopped_by(faults))
            rest = rest_of(rest, done, joined(waiting, lost))
        return failures

    def _attempt(
        self, work: Sequence[Work], nodes: Sequence[Node], tags: Mapping[str, str], cuts: Collection[date]
    ) -> tuple[dict[Key, set[date | None]], list[Failed], Run | None]:
        """Run the work up to the first run that fails: what was published, what failed, and that run."""
        self.lake.claim()
        runs = as_runs(work, nodes, cuts)
        noted = Noted()
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        log = (self.settings.logs / "run.log").open("a", encoding="utf-8")
        # dbt's own lines go to a log: stdout belongs to the command's answer.
        with log, redirect_stdout(log), _progress(runs) as on_event:
            for run in runs:
                failures = execute(self.definitions, self.instance, run, noted.listener(on_event), tags)
                if failures:
                    return noted.done, failures, run
        return noted.done, [], None


@dataclass
class Noted:
    """What the events of runs say was made, and what of it a contract check let pass."""

    done: dict[Key, set[date | None]] = field(default_factory=dict)

    def listener(self, on_event: Callable[[DagsterEvent], None]) -> Callable[[DagsterEvent], None]:
        """A listener for one run that also notes what is done."""
        made: dict[Key, set[date | None]] = {}

        def listen(event: DagsterEvent) -> None:
            note(event, made, self.done)
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
        total = len({key for run in runs for key in run.keys})
        task = bar.add_task("starting", total=total)
        written: set[dg.AssetKey] = set()

        def on_event(event: DagsterEvent) -> None:
            if event.event_type == DagsterEventType.STEP_START:
                bar.update(task, description=(event.step_key or "").replace("__", "."))
            # A range gives one event a week, and weeks may come in several runs; a table counts once.
            key = event.asset_key
            if event.event_type == DagsterEventType.ASSET_MATERIALIZATION and key is not None and key not in written:
                written.add(key)
                bar.update(task, advance=1)
                if not err.is_terminal:
                    err.print(f"{'.'.join(key.path)} written", highlight=False)

        yield on_event
        bar.update(task, description="done")

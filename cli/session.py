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

from assets.automation.plan import Key, Node, Run, Work, as_runs, plan
from assets.automation.runs import Failed, execute
from assets.automation.state import nodes_of, state_of
from assets.automation.stops import stopped_by
from assets.catalogue import graph_assets
from assets.graph import Graph
from assets.lineage import consumers, read_manifest
from cli.output import SAYS_NO, WRONG_USE, err, stop
from definitions import build_definitions, build_graph
from resources.dbt import manifest_path
from resources.formats import FORMAT, lake_format, migrate, require_format
from resources.instance import open_instance
from resources.lake import Lake
from resources.preconditions import full_disk, writable_home
from resources.settings import Settings, load_settings
from resources.spark import SparkDoor
from resources.token_keys import Rotation, end_rotation, rotation_of
from resources.verdicts import Fault

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
            found = {_key(item.name): item.fault for item in failed if item.fault is not None}
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
            done.add(_key(".".join(event.asset_key.path)))
        on_event(event)

    return listen


def _key(name: str) -> Key:
    layer, _, table = name.partition(".")
    return layer, table


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
        _bring_up(lake, graph)
        resources = {"lake": dg.ResourceDefinition.hardcoded_resource(lake), **(overrides or {})}
        definitions = build_definitions(graph, resources)
        with open_instance(chosen) as instance:
            yield Session(chosen, graph, definitions, lake, instance)


@contextmanager
def promotion_session() -> Iterator[Session]:
    """Open the lake for a command about promotions; ends it with a sentence where the source has none."""
    with session() as opened:
        if not opened.graph.has("insights", "promotion_lift"):
            source = opened.settings.lake.source
            stop(f"The source {source} delivers no promotions: there is no lift and no advice.", WRONG_USE)
        yield opened


def _bring_up(lake: Lake, graph: Graph) -> None:
    """Migrate a lake that an older release made, and complete a rotation that was only not published whole.

    A lake of a newer release is refused.
    """
    before = lake_format(lake.settings)
    if before < FORMAT:
        lake.claim(is_repair=True)
        migrate(lake.spark, lake.settings, graph.contracts)
        err.print(f"The lake was of format {before} and is of format {FORMAT} now.", highlight=False)
    elif before > FORMAT:
        require_format(lake.settings)
    rotation = rotation_of(lake.settings)
    if rotation is not None and rotation.publishing:
        lake.claim(is_repair=True)
        publish_rotated(lake, graph, rotation)


def publish_rotated(lake: Lake, graph: Graph, rotation: Rotation) -> None:
    """Move the views of all tables that carry tokens to the versions under the new key, and end the rotation."""
    for name, version in rotation.publishing.items():
        layer, table = _key(name)
        contract = graph.contract(layer, table)
        made_from = lake.newest(contract).provenance
        assert made_from is not None
        lake.publish(contract, version, made_from)
    end_rotation(lake.settings, rotation)


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

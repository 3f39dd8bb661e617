"""dbt as a process, connected to the lake's Spark server.

Belongs here: how dbt is called. Does not belong here: its project's files (dbt_project), which models an asset builds
(assets.silver).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from importlib import metadata
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation, DbtCliResource
from packaging.version import Version

from resources.commits import Provenance
from resources.dbt_project import PROJECT, dbt_executable
from resources.lake import Lake
from resources.settings import exported

WATCH_SECONDS = 1.0


class QuickDbt(DbtCliResource):
    """dbt without what dagster-dbt prepares for calls that we do not make.

    Before each call it asks the executable for its version, in a process of its own, and opens dbt's adapter in this
    one, for row counts and column types that we read ourselves: six seconds of every run.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        return None


def dbt_resource() -> DbtCliResource:
    """The resource that Dagster's dbt assets use."""
    return QuickDbt(project_dir=str(PROJECT), profiles_dir=str(PROJECT), dbt_executable=dbt_executable())


@contextmanager
def invocation(
    dbt: DbtCliResource,
    lake: Lake,
    context: dg.AssetExecutionContext,
    args: Sequence[str],
    variables: Mapping[str, Any],
    made_from: Mapping[str, Provenance],
) -> Iterator[DbtCliInvocation]:
    """A running dbt command on the lake's Spark server, with its vars and the provenance of each model."""
    command = [*args, "--vars", json.dumps(dict(variables))]
    provenance = json.dumps({name: asdict(item) for name, item in made_from.items()})
    with exported("SPARK_REMOTE", lake.spark_url), exported("LIFTLAKE_PROVENANCE", provenance):
        running = dbt.cli(command, context=context, target_path=lake.settings.home / "dbt" / context.op.name)
    done = threading.Event()
    guard = threading.Thread(target=_end_with_server, args=(lake, running, done), daemon=True)
    guard.start()
    try:
        yield running
    finally:
        done.set()
        guard.join()


def _end_with_server(lake: Lake, running: DbtCliInvocation, done: threading.Event) -> None:
    """Stop dbt when the server is gone: its client would go on trying for minutes, and the step's retry can mend it."""
    while not done.wait(WATCH_SECONDS):
        if not lake.is_reachable():
            running.process.terminate()
            return

"""dbt as a process: its project, its manifest, its connection to the lake's Spark server.

Belongs here: how dbt is called. Does not belong here: which models an asset builds (assets.silver) or SQL (dbt/).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation, DbtCliResource
from packaging.version import Version

from resources.commits import Provenance
from resources.lake import Lake
from resources.settings import PROJECT_ROOT, Settings, child_environment, exported

PROJECT = PROJECT_ROOT / "dbt"
WATCH_SECONDS = 1.0


class DbtError(RuntimeError):
    """dbt cannot read its project; the message holds its last words."""


def project_files() -> list[Path]:
    """Every file of the dbt project that changes what it builds."""
    folders = [PROJECT / name for name in ("models", "macros", "data_tests")]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".sql", ".yml"}]
    return sorted([PROJECT / "dbt_project.yml", *found])


def dbt_executable() -> str:
    return str(Path(sys.executable).parent / "dbt")


def manifest_path(settings: Settings, absent: Sequence[str] = ()) -> Path:
    """The manifest of the project as it is now, without the tables that are absent, parsed once for each state of it.

    Raises:
        DbtError: the project does not parse.
    """
    variables = json.dumps({"absent": list(absent)})
    digest = hashlib.sha256(variables.encode())
    for path in project_files():
        digest.update(str(path.relative_to(PROJECT)).encode())
        digest.update(path.read_bytes())
    folder = settings.home / "dbt" / digest.hexdigest()[:16]
    manifest = folder / "manifest.json"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    command = [dbt_executable(), "--quiet", "parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    command += ["--target-path", str(folder), "--log-path", str(folder), "--vars", variables]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment({}), check=False, cwd=folder)
    if done.returncode != 0 or not manifest.exists():
        raise DbtError(f"The dbt project does not parse: {(done.stdout + done.stderr).strip()[-800:]}")
    return manifest


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

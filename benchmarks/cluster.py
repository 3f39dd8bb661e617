"""The sample's whole graph on a standalone cluster beside one machine: seconds, equal digests, and a worker killed.

Belongs here: the three runs and what is compared. Does not belong here: the cluster's processes (cluster_processes).

Each run is `liftlake demo` into an empty lake. The cluster has two workers of one core each, the local server two
threads; the tables of the cluster's lakes lie in an S3-compatible store beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cluster_processes import EXECUTOR_MEMORY, WORKERS, Cluster
from benchmarks.memory import MemoryWatch
from benchmarks.program import Options, Stopwatch, progress, result
from benchmarks.sample import STORES, write_sample
from resources.settings import PROJECT_ROOT, Settings, child_environment, load_settings

DRIVER_MEMORY = "2g"


@dataclass(frozen=True)
class Built:
    """A lake that was built: how long it took, and what `status --json` says of its tables and champions."""

    seconds: float
    status: Mapping[str, Any]

    @property
    def contents(self) -> dict[str, str]:
        """The digest of every table, and the champion of every model."""
        tables = {name: str(row["digest"]) for name, row in self.status["tables"].items()}
        return tables | {name: str(row["model_version"]) for name, row in self.status["champions"].items()}


def bench_cluster(_options: Options) -> dict[str, Any]:
    """Build the sample's lake locally, on a cluster, and on one of which a worker dies while it computes features.

    Raises:
        RuntimeError: a run failed, or no feature was computed on the worker that was to die.
    """
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="liftlake-bench-") as name, MemoryWatch(Path(name)) as memory:
        folder = Path(name)
        files = folder / "files"
        write_sample(load_settings(), files)
        progress("local")
        local = on_one_machine(folder / "local", files)
        progress(f"{local.seconds:.0f} s; on a cluster")
        whole, has_namespaces = on_cluster(folder / "whole", files)
        progress(f"{whole.seconds:.0f} s; on a cluster that loses a worker")
        broken, _ = on_cluster(folder / "broken", files, kills_worker=True)
        peak = memory.peak_mb()
    return {**figures(local, whole, broken, watch.seconds(), has_namespaces=has_namespaces), "peak_rss_mb": peak}


def figures(local: Built, whole: Built, broken: Built, seconds: float, *, has_namespaces: bool) -> dict[str, Any]:
    """What three lakes of the same files say: built on one machine, on a cluster, and on one that lost a worker."""
    names = {"differing": differing(local, whole), "differing_with_worker_killed": differing(local, broken)}
    shown = result(
        "cluster",
        {
            "stores": STORES, "workers": WORKERS, "cores": WORKERS, "executor_memory": EXECUTOR_MEMORY,
            "driver_memory": DRIVER_MEMORY, "has_namespaces": has_namespaces, "warehouse": "S3-compatible store",
        },
        {
            "tables": len(local.status["tables"]), **{kind: len(found) for kind, found in names.items()},
            "seconds_local": local.seconds, "seconds_cluster": whole.seconds,
            "seconds_with_worker_killed": broken.seconds,
        },
        seconds,
    )  # fmt: skip
    return {**shown, "which": names}


def differing(one: Built, other: Built) -> list[str]:
    """Tables and models of either lake that the other has not, or has otherwise."""
    names = {*one.contents, *other.contents}
    return sorted(name for name in names if one.contents.get(name) != other.contents.get(name))


def on_one_machine(home: Path, files: Path) -> Built:
    """The lake of these source files on its own local server."""
    variables = _variables(home, files)
    try:
        return _built(variables)
    finally:
        _run(variables, "down")


def on_cluster(folder: Path, files: Path, *, kills_worker: bool = False) -> tuple[Built, bool]:
    """The lake of these source files on a cluster, and whether its processes had network namespaces of their own.

    `kills_worker`: one of the workers, as soon as it computes features.
    """
    with Cluster(cluster_settings(folder / "cluster")) as cluster:
        variables = {**_variables(folder / "home", files), **cluster.variables("lake")}
        return _built(variables, cluster if kills_worker else None), cluster.has_namespaces


def cluster_settings(home: Path) -> Settings:
    """Settings of a cluster whose server has its catalog in `home`."""
    cache = str(load_settings().jar_cache)
    variables = {"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": cache, "LIFTLAKE_SPARK_MEMORY": DRIVER_MEMORY}
    return load_settings(variables)


def _variables(home: Path, files: Path) -> dict[str, str]:
    cache = str(load_settings().jar_cache)
    return {"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": cache, "LIFTLAKE_SOURCE_FILES": str(files)}


def _built(variables: Mapping[str, str], victim: Cluster | None = None) -> Built:
    began = time.monotonic()
    running = subprocess.Popen(
        [sys.executable, "-m", "cli", "demo"], env=child_environment(variables), cwd=PROJECT_ROOT, stdout=sys.stderr
    )
    try:
        is_killed = victim is None or victim.kill_working(lambda: running.poll() is not None)
        code = running.wait()
    finally:
        running.kill()
    if code or not is_killed:
        raise RuntimeError("`liftlake demo` failed." if code else "No feature was computed on the worker to be killed.")
    return Built(round(time.monotonic() - began, 1), json.loads(_run(variables, "status", "--json")))


def _run(variables: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "cli", *arguments]
    env = child_environment(variables)
    return subprocess.run(command, env=env, cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout

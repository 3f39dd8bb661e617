"""The demo, timed: cold, again with nothing to do, and one more week; time per step and memory of all processes.

Belongs here: measuring the command that a user types, in a process of its own and a throwaway home. Downloads are not
part of it: the JAR cache of the calling lake is used.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

import psutil

from resources.settings import PROJECT_ROOT, child_environment, load_settings

SAMPLE_SECONDS = 0.5
MB = 1024**2


class MemoryWatch:
    """Peak of the summed resident memory of this process's descendants and of a home's Spark server."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mb = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak_mb = max(self.peak_mb, self._resident())

    def _resident(self) -> float:
        total = 0
        own = {child.pid for child in psutil.Process().children(recursive=True)}
        for process in psutil.process_iter(["pid", "cmdline", "memory_info"]):
            info = process.info
            is_server = any(self._home in part for part in info["cmdline"] or [])
            if (info["pid"] in own or is_server) and info["memory_info"] is not None:
                total += info["memory_info"].rss
        return total / MB


def bench_demo() -> dict[str, Any]:
    """Run the demo cold, again, and with one more week; the result is the object that `bench --json` promises."""
    cache = load_settings().jar_cache
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="liftlake-bench-") as folder:
        home = Path(folder) / "home"
        env = child_environment({"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": str(cache)})
        with MemoryWatch(home) as memory:
            try:
                metrics["cold_seconds"] = _run(env, "demo")
                steps = _step_seconds(home)
                metrics["again_seconds"] = _run(env, "demo")
                metrics["next_week_seconds"] = _run(env, "demo", "--next-week")
            finally:
                _run(env, "down")
    slowest = sorted(steps.items(), key=lambda item: -item[1])
    metrics |= {f"step {name}": seconds for name, seconds in slowest}
    return {
        "name": "demo",
        "configuration": {"threads": load_settings().threads, "python": sys.version.split()[0]},
        "metrics": metrics,
        "published": {},
        "seconds": metrics["cold_seconds"],
        "peak_rss_mb": round(memory.peak_mb),
        "rivals": {},
    }


def _run(env: dict[str, str], *arguments: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "cli", *arguments], env=env, cwd=PROJECT_ROOT, check=True, stdout=sys.stderr)
    return round(time.monotonic() - began, 1)


def _step_seconds(home: Path) -> dict[str, float]:
    """Seconds of each step of the newest runs, from Dagster's own events."""
    seconds: dict[str, float] = {}
    for database in (home / "dagster").rglob("*.db"):
        with sqlite3.connect(database) as events:
            tables = {name for (name,) in events.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "event_logs" not in tables:
                continue
            rows = events.execute(
                "SELECT step_key, dagster_event_type, MIN(timestamp), MAX(timestamp) FROM event_logs "
                "WHERE dagster_event_type IN ('STEP_START', 'STEP_SUCCESS') "
                "GROUP BY run_id, step_key, dagster_event_type"
            ).fetchall()
        starts = {key: _epoch(first) for key, kind, first, _ in rows if kind == "STEP_START"}
        ends = {key: _epoch(last) for key, kind, _, last in rows if kind == "STEP_SUCCESS"}
        seconds |= {key.replace("__", "."): round(ends[key] - starts[key], 1) for key in starts if key in ends}
    return seconds


def _epoch(stamp: str) -> float:
    return time.mktime(time.strptime(stamp.split(".", maxsplit=1)[0], "%Y-%m-%d %H:%M:%S")) + float(
        f"0.{stamp.partition('.')[2] or 0}"
    )

"""The demo, timed: cold, again with nothing to do, and one more week; time per step and memory of all processes.

Belongs here: measuring the command that a user types, in a process of its own and a throwaway home. Downloads are not
part of it: the JAR cache of the calling lake is used.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.memory import MemoryWatch
from benchmarks.program import Options
from resources.settings import PROJECT_ROOT, child_environment, load_settings


@dataclass(frozen=True)
class Step:
    """One asset or check of a run: when it ran (Unix seconds)."""

    name: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return round(self.ended - self.began, 1)


def bench_demo(_options: Options) -> dict[str, Any]:
    """Run the demo cold, again, and with one more week; the result is the object that `bench --json` promises.

    `steps` and `next_week_steps` list seconds and peak memory of every asset and check, slowest first.
    """
    cache = load_settings().jar_cache
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="liftlake-bench-") as folder:
        home = Path(folder) / "home"
        env = child_environment({"LIFTLAKE_HOME": str(home), "LIFTLAKE_JAR_CACHE": str(cache)})
        with MemoryWatch(home) as memory:
            try:
                metrics["cold_seconds"] = _run(env, "demo")
                cold = _steps(home)
                metrics["again_seconds"] = _run(env, "demo")
                metrics["next_week_seconds"] = _run(env, "demo", "--next-week")
                week = _steps(home)[len(cold) :]
            finally:
                _run(env, "down")
    return {
        "name": "demo",
        "configuration": {"threads": load_settings().threads, "python": sys.version.split()[0]},
        "metrics": metrics,
        "steps": _table(cold, memory),
        "next_week_steps": _table(week, memory),
        "published": {},
        "seconds": metrics["cold_seconds"],
        "peak_rss_mb": memory.peak_mb(),
        "rivals": {},
    }


def _run(env: dict[str, str], *arguments: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "cli", *arguments], env=env, cwd=PROJECT_ROOT, check=True, stdout=sys.stderr)
    return round(time.monotonic() - began, 1)


def _table(steps: list[Step], memory: MemoryWatch) -> list[dict[str, Any]]:
    return [
        {"step": step.name, "seconds": step.seconds, "peak_rss_mb": memory.peak_mb(step.began, step.ended)}
        for step in sorted(steps, key=lambda step: -step.seconds)
    ]


def _steps(home: Path) -> list[Step]:
    """The steps of all runs so far in the order of their start, from Dagster's own events."""
    found: set[Step] = set()
    for database in (home / "dagster").rglob("*.db"):
        with contextlib.closing(sqlite3.connect(database)) as events:
            if events.execute("SELECT 1 FROM sqlite_master WHERE name = 'event_logs'").fetchone() is None:
                continue
            rows = events.execute(
                "SELECT run_id, step_key, MIN(timestamp), MAX(timestamp) FROM event_logs "
                "WHERE dagster_event_type IN ('STEP_START', 'STEP_SUCCESS') GROUP BY run_id, step_key"
            ).fetchall()
        found |= {Step(key.replace("__", "."), _epoch(began), _epoch(ended)) for _, key, began, ended in rows}
    return sorted(found, key=lambda step: step.began)


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()

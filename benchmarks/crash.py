"""Crashes between commits: a lake that is built while its parts are killed equals one that nobody disturbed.

Belongs here: where it is killed, what is compared, how long it takes until the next gold row. Does not belong here: how
a process dies (kills).

The sample's files and a topic are built into two lakes by `liftlake run`. The run worker, the Spark server and the
broker of the second are killed by SIGKILL right after chosen commits, and the command is given again. The log of the
commits says between which two each kill fell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.broker import Broker
from benchmarks.memory import MemoryWatch
from benchmarks.program import Options, progress
from benchmarks.sample import write_sample
from benchmarks.telemetry import Sender, Traffic
from resources.settings import DEMO_LAKE, PROJECT_ROOT, child_environment, load_settings

KILLS, AT_EACH_GAP, SEED = 25, 3, 20171208
STORES, EVENTS = 3, 4_000
BROKEN = [b"no JSON", b'{"event_id": "y", "event_type": "unheard of"}']
TOPIC = "telemetry"
TOLD = ("digest", "rows", "received", "accepted", "quarantined", "duplicates")
START = datetime(2017, 11, 27, 5, tzinfo=UTC)
Points = list[tuple[str, str | None]]


@dataclass
class _Lake:
    """A lake that is built by commands which note their commits."""

    home: Path
    variables: Mapping[str, str]

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        lake = yaml.safe_load(DEMO_LAKE.read_text(encoding="utf-8"))
        told = yaml.safe_dump({**lake, "tables": ["telemetry_events"]})
        (self.home / "lake.yaml").write_text(told, encoding="utf-8")
        self.to_kill([])

    @property
    def log(self) -> Path:
        return self.home / "commits.log"

    def to_kill(self, points: Points) -> None:
        (self.home / "points.json").write_text(json.dumps(points), encoding="utf-8")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.kills", "at", str(self.home / "points.json"), str(self.log),
             *arguments, "--json"],
            env=child_environment({"LIFTLAKE_HOME": str(self.home), **self.variables}),
            cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def lines(self) -> list[tuple[float, str]]:
        """What was committed and killed, and when."""
        found = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [(float(at), told) for at, _, told in (line.partition(" ") for line in found)]

    def digests(self) -> dict[str, tuple[Any, ...]]:
        done = self.command("status")
        assert done.returncode == 0, done.stderr[-3000:]
        tables = json.loads(done.stdout)["tables"]
        return {name: tuple(found.get(key) for key in TOLD) for name, found in tables.items()}


def bench_crash(_options: Options) -> dict[str, Any]:
    """Build a lake twice, once under kills, and compare. The object is what `bench --json` promises."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liftlake-crash-") as name, MemoryWatch(Path(name)) as memory:
        folder = Path(name)
        write_sample(load_settings(), folder / "files", STORES)
        with Broker(load_settings(), folder / "broker") as broker:
            acknowledged = _fill(broker)
            variables = {
                "LIFTLAKE_JAR_CACHE": str(load_settings().jar_cache), "LIFTLAKE_SOURCE_FILES": str(folder / "files"),
                "LIFTLAKE_KAFKA_BROKERS": broker.brokers, "LIFTLAKE_KAFKA_BATCH_RECORDS": "1000",
            }  # fmt: skip
            progress("the lake that nobody disturbs")
            calm = _Lake(folder / "calm", variables)
            calm_seconds = _build(calm, broker, patience=0)
            wanted = calm.digests()
            calm.command("down")
            shaken = _Lake(folder / "shaken", variables)
            points = chosen([told for _, told in calm.lines()], shaken.home / "spark" / "server.json", broker.pid_file)
            shaken.to_kill(points)
            progress(f"the lake that is killed {len(points)} times")
            shaken_seconds = _build(shaken, broker, patience=len(points))
            found = shaken.digests()
            shaken.command("down")
        peak = memory.peak_mb()
    assert found.keys() == wanted.keys()
    different = sorted(name for name in wanted if wanted[name] != found[name])
    assert not different, f"these tables differ: {', '.join(different)}"
    received = found["bronze.telemetry_events"][TOLD.index("received")]
    gaps = killed_in(shaken.lines())
    return {
        "name": "crash",
        "configuration": {"stores": STORES, "events": acknowledged, "kills_wanted": len(points), "gaps": gaps},
        "metrics": {
            "kills": sum(gaps.values()),
            "kills_least_in_a_gap": min(gaps.values()),
            "tables_equal": len(wanted),
            "acknowledged_rows_lost": acknowledged - received,
            "seconds_to_the_next_commit_max": round(max(waits_of(shaken.lines())), 1),
            "calm_seconds": round(calm_seconds, 1),
            "shaken_seconds": round(shaken_seconds, 1),
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": {},
    }  # fmt: skip


def _fill(broker: Broker) -> int:
    broker.create(TOPIC, 2)
    sender = Sender(broker.brokers, TOPIC)
    sender.send([*Traffic(seed=6, count=EVENTS, start=START, disorder=500).messages(), *BROKEN])
    return sender.flush()


def _build(lake: _Lake, broker: Broker, patience: int) -> float:
    """Run until a run succeeds, after at most so many that do not; returns the seconds."""
    began, said = time.monotonic(), ""
    for _ in range(patience + 1):
        done = lake.command("run")
        broker.start_if_gone()
        if done.returncode == 0:
            return time.monotonic() - began
        said = done.stderr[-3000:]
    raise AssertionError(said)


def gap_of(commit: str) -> str:
    """The kind of gap between a commit and the next one."""
    kind, _, table = commit.partition(" ")
    if kind != "append":
        return kind
    return f"append {table if table in {'quarantine', 'ingest_ledger'} else 'accepted'}"


def chosen(commits: Sequence[str], server: Path, broker: Path) -> Points:
    """Where it is killed, in the order of the commits: some in every kind of gap, the others anywhere; and who is.

    Args:
        commits: of a build that nobody disturbs.
        server, broker: the files that hold their process ids.
    """
    draw = np.random.default_rng(SEED)
    by_gap: dict[str, list[str]] = {}
    for commit in dict.fromkeys(commits):
        by_gap.setdefault(gap_of(commit), []).append(commit)
    found = [
        commit
        for group in by_gap.values()
        # A commit is made again after a kill where the next one is missing: few may be met more than once.
        for commit in (
            [str(item) for item in draw.permutation(group)][:AT_EACH_GAP]
            if len(group) >= AT_EACH_GAP
            else group * AT_EACH_GAP
        )
    ]
    rest = [commit for commit in dict.fromkeys(commits) if commit not in found]
    found += [str(item) for item in draw.permutation(rest)][: max(0, KILLS - len(found))]
    victims: cycle[Path | None] = cycle([None, server, broker])
    places = {commit: place for place, commit in reversed(list(enumerate(commits)))}
    return [
        (commit, str(victim) if (victim := next(victims)) else None) for commit in sorted(found, key=places.__getitem__)
    ]


def killed_in(lines: Sequence[tuple[float, str]]) -> dict[str, int]:
    """Kind of gap -> how many kills the log has right after such a commit."""
    found: dict[str, int] = {}
    for (_, before), (_, told) in pairwise(lines):
        if told.startswith("killed "):
            found[gap_of(before)] = found.get(gap_of(before), 0) + 1
    return dict(sorted(found.items()))


def waits_of(lines: Sequence[tuple[float, str]]) -> list[float]:
    """Seconds from each kill to the next commit; a command's start is in them."""
    return [after - at for (at, told), (after, _) in pairwise(lines) if told.startswith("killed ")]

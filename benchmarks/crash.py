"""Crashes between commits: a lake that is built while its parts are killed equals one that nobody disturbed.

Belongs here: where it is killed, what is compared, how long it takes until the next gold row. Does not belong here: how
a process dies (kills).

The sample's files and a topic are built into two lakes by `liftlake run`. The run worker, the Spark server and the
broker of the second are killed by SIGKILL right after chosen commits, and the command is given again until it succeeds;
the broker is started again as soon as it is gone. The log of the commits says between which two each kill fell.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice, pairwise
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

KILLS, AT_EACH_GAP = 25, 3
STORES, EVENTS, BATCH_RECORDS = 3, 4_000, 1_000
LOOK_SECONDS = 0.2
BROKEN = [b"no JSON", b'{"event_id": "y", "event_type": "unheard of"}']
TOPIC, FOLLOWED = "telemetry", "telemetry_events"
TOLD = ("digest", "rows", "received", "accepted", "quarantined", "duplicates")
START = datetime(2017, 11, 27, 5, tzinfo=UTC)
GOLD = "write gold."
Points = list[tuple[str, str | None]]


@dataclass
class _Lake:
    """A lake that is built by commands which note their commits."""

    home: Path
    broker: Broker
    variables: Mapping[str, str]

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        lake = yaml.safe_load(DEMO_LAKE.read_text(encoding="utf-8"))
        told = yaml.safe_dump({**lake, "tables": [FOLLOWED]})
        (self.home / "lake.yaml").write_text(told, encoding="utf-8")
        self.to_kill([])

    @property
    def log(self) -> Path:
        return self.home / "commits.log"

    def to_kill(self, points: Points) -> None:
        (self.home / "points.json").write_text(json.dumps(points), encoding="utf-8")

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command, and keep the broker alive meanwhile; returns its exit code and what it printed."""
        started = [sys.executable, "-m", "benchmarks.kills", "at", str(self.home / "points.json"), str(self.log)]
        printed = self.home / "printed.json"
        with printed.open("wb") as out, (self.home / "said.log").open("ab") as said:
            process = subprocess.Popen(
                [*started, *arguments, "--json"], stdout=out, stderr=said, cwd=PROJECT_ROOT,
                env=child_environment({"LIFTLAKE_HOME": str(self.home), **self.variables}),
            )  # fmt: skip
            while process.poll() is None:
                self.broker.start_if_gone()
                time.sleep(LOOK_SECONDS)
        self.broker.start_if_gone()
        return process.returncode, printed.read_text(encoding="utf-8")

    def build(self, patience: int = 0) -> float:
        """Run until a run succeeds, after at most so many that do not; returns the seconds."""
        began = time.monotonic()
        for _ in range(patience + 1):
            code, _ = self.command("run")
            if code == 0:
                return time.monotonic() - began
        raise AssertionError((self.home / "said.log").read_text(encoding="utf-8")[-3000:])

    def lines(self) -> list[tuple[float, str]]:
        """What was committed and killed, and when."""
        found = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [(float(at), told) for at, _, told in (line.partition(" ") for line in found)]

    def digests(self) -> dict[str, tuple[Any, ...]]:
        code, printed = self.command("status")
        assert code == 0, printed
        tables = json.loads(printed)["tables"]
        return {name: tuple(found.get(key) for key in TOLD) for name, found in tables.items()}


def bench_crash(options: Options) -> dict[str, Any]:
    """Build a lake in peace and then, round by round, one under kills, and compare each with the first.

    A round (`--rounds`, default 1) is a seed. The object is what `bench --json` promises.
    """
    began = time.monotonic()
    first, _, last = (options.rounds or "1").partition("-")
    shaken: list[_Lake] = []
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="liftlake-crash-") as name, MemoryWatch(Path(name)) as memory:
        folder = Path(name)
        write_sample(load_settings(), folder / "files", STORES)
        with Broker(load_settings(), folder / "broker") as broker:
            acknowledged = _fill(broker)
            variables = {
                "LIFTLAKE_JAR_CACHE": str(load_settings().jar_cache), "LIFTLAKE_SOURCE_FILES": str(folder / "files"),
                "LIFTLAKE_KAFKA_BROKERS": broker.brokers, "LIFTLAKE_KAFKA_BATCH_RECORDS": str(BATCH_RECORDS),
            }  # fmt: skip
            progress("the lake that nobody disturbs")
            calm = _Lake(folder / "calm", broker, variables)
            calm_seconds = calm.build()
            wanted = calm.digests()
            calm.command("down")
            commits = [told for _, told in calm.lines()]
            for number in range(int(first), int(last or first) + 1):
                lake = _Lake(folder / f"shaken-{number}", broker, variables)
                points = chosen(commits, lake.home / "spark" / "server.json", broker.pid_file, number)
                lake.to_kill(points)
                progress(f"round {number}: the lake that is killed {len(points)} times")
                seconds.append(lake.build(patience=len(points)))
                require_equal(wanted, lake.digests())
                lake.command("down")
                shaken.append(lake)
            received = int(wanted[f"bronze.{FOLLOWED}"][TOLD.index("received")])
            found = [lake.lines() for lake in shaken]
        peak = memory.peak_mb()
    gaps = [killed_in(lines) for lines in found]
    return {
        "name": "crash",
        "configuration": {"stores": STORES, "events": acknowledged, "gaps": gaps},
        "metrics": {
            "kills": sum(sum(item.values()) for item in gaps),
            "kills_least_in_a_gap": min(min(item.values()) for item in gaps),
            "tables_equal": len(wanted),
            "acknowledged_rows_lost": acknowledged - received,
            "seconds_to_the_next_commit_max": round(max(max(waits_of(lines)) for lines in found), 1),
            "seconds_to_the_next_gold_row_max": round(max(max(waits_of(lines, GOLD)) for lines in found), 1),
            "calm_seconds": round(calm_seconds, 1),
            "shaken_seconds_mean": round(float(np.mean(seconds)), 1),
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": {},
    }  # fmt: skip


def require_equal(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises AssertionError, with their names, where tables of two lakes differ."""
    different = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    assert not different, f"these tables differ: {', '.join(different)}"


def _fill(broker: Broker) -> int:
    broker.create(TOPIC, 2)
    sender = Sender(broker.brokers, TOPIC)
    sender.send([*Traffic(seed=6, count=EVENTS, start=START, disorder=500).messages(), *BROKEN])
    return sender.flush()


def gap_of(commit: str) -> str:
    """The kind of gap between a commit and the next one; a batch's rows have one, whichever table they are for."""
    words = commit.split()
    return f"append {'accepted' if words[1] == words[3] else words[1]}" if words[0] == "append" else words[0]


def chosen(commits: Sequence[str], server: Path, broker: Path, seed: int) -> Points:
    """Where it is killed, in the order of the commits: some in every kind of gap, the others anywhere; and who is.

    The broker dies once in every kind of gap of the topic's ingest; worker and server take turns at most other points.

    Args:
        commits: of a build that nobody disturbs.
        server, broker: the files that hold their process ids.
        seed: of the draw.
    """
    draw = np.random.default_rng(seed)
    places = {commit: place for place, commit in reversed(list(enumerate(commits)))}
    by_gap: dict[str, list[str]] = {}
    for commit in places:
        by_gap.setdefault(gap_of(commit), []).append(commit)
    of_broker = {commit for commit in places if commit.endswith(f"for {FOLLOWED}")}
    found = [commit for group in by_gap.values() for commit in _some(sorted(group), of_broker, draw)]
    rest = sorted({*places} - {*found} - of_broker)
    found += [str(item) for item in draw.permutation(rest)][: max(0, KILLS - len(found))]
    others: cycle[str | None] = cycle([None, str(server)])
    ordered = sorted(found, key=places.__getitem__)
    left = Counter(ordered)
    points: Points = []
    for commit in ordered:
        left[commit] -= 1
        # When server or broker die, the worker goes on with what it has made; after its own death that is made again.
        last = str(broker) if commit in of_broker else next(others)
        points.append((commit, None if left[commit] else last))
    return points


def _some(group: list[str], of_broker: set[str], draw: np.random.Generator) -> list[str]:
    """Commits of one kind of gap. Where few are made they are met again: what a kill has undone is made again."""
    once = [commit for commit in group if commit in of_broker]
    others = [str(item) for item in draw.permutation([commit for commit in group if commit not in of_broker])]
    return [*once, *islice(cycle(others or once), AT_EACH_GAP - len(once))]


def killed_in(lines: Sequence[tuple[float, str]]) -> dict[str, int]:
    """Kind of gap -> how many kills the log has right after such a commit."""
    found: dict[str, int] = {}
    for (_, before), (_, told) in pairwise(lines):
        if told.startswith("killed "):
            found[gap_of(before)] = found.get(gap_of(before), 0) + 1
    return dict(sorted(found.items()))


def waits_of(lines: Sequence[tuple[float, str]], what: str = "") -> list[float]:
    """Seconds from each kill to the next commit that begins so; a command's start is in them.

    Where another kill comes first, there is none.
    """
    found, killed_at = [], None
    for at, told in lines:
        if told.startswith("killed "):
            killed_at = at
        elif killed_at is not None and told.startswith(what):
            found.append(at - killed_at)
            killed_at = None
    return found

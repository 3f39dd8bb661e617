"""Contestants side by side: one process, one Spark server, alternating repetitions, medians.

Belongs here: the order of repetitions, the statistics, and a lake that is thrown away. Does not belong here: what is
timed, and whether its outcomes are equal (the benchmarks).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resources import spark_server
from resources.lake import Lake
from resources.settings import load_settings
from resources.spark import SparkDoor

Seconds = dict[str, list[float]]


@contextmanager
def throwaway_lake() -> Iterator[Lake]:
    """An empty lake on a Spark server of its own, with the JAR cache of the calling lake."""
    with tempfile.TemporaryDirectory(prefix="liftlake-bench-") as folder:
        cache = load_settings().jar_cache
        settings = load_settings({"LIFTLAKE_HOME": str(Path(folder) / "home"), "LIFTLAKE_JAR_CACHE": str(cache)})
        lake = Lake(settings, SparkDoor(settings))
        try:
            lake.prepare()
            yield lake
        finally:
            lake.close()
            spark_server.stop(settings)


def alternate(contestants: Mapping[str, Callable[[], object]], repetitions: int, warm_ups: int = 1) -> Seconds:
    """Seconds of every contestant in each repetition, after warm-ups that do not count; the order turns around."""
    seconds: Seconds = {name: [] for name in contestants}
    for repetition in range(-warm_ups, repetitions):
        order = list(contestants) if repetition % 2 else list(contestants)[::-1]
        for name in order:
            began = time.perf_counter()
            contestants[name]()
            took = time.perf_counter() - began
            print(f"{name} {repetition}: {took:.2f} s", file=sys.stderr)
            if repetition >= 0:
                seconds[name].append(took)
    return seconds


def rivals(seconds: Seconds, ours: str) -> dict[str, Any]:
    """Rival -> its median seconds and `ratio`: the median over repetitions of our time divided by its time."""
    found = {}
    for name, taken in seconds.items():
        if name != ours:
            ratios = [own / theirs for own, theirs in zip(seconds[ours], taken, strict=True)]
            found[name] = {
                "seconds": round(statistics.median(taken), 3),
                "ratio": round(statistics.median(ratios), 3),
                "ratios": [round(ratio, 3) for ratio in ratios],
            }
    return found

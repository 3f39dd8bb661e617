"""Resident memory of all processes of a measurement, by sampling.

Belongs here: whose memory counts. Does not belong here: what is measured (the benchmarks).
"""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Self

import psutil

SAMPLE_SECONDS = 0.5
FORK_SECONDS = 1.0
MB = 1024**2


class MemoryWatch:
    """Samples of the summed resident memory of this process's descendants and of a home's Spark server.

    `with_self` adds this process, where it does work itself.
    """

    def __init__(self, home: Path, *, with_self: bool = False) -> None:
        self._home = str(home)
        self._self = {os.getpid()} if with_self else set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._samples: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def peak_mb(self, began: float = 0, ended: float = math.inf) -> int:
        """The highest sample between two instants; 0 when a step was shorter than the sampling interval."""
        return round(max((mb for at, mb in self._samples if began <= at <= ended), default=0))

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._samples.append((time.time(), self._resident()))

    def _resident(self) -> float:
        total = 0
        own = self._self | {child.pid for child in psutil.Process().children(recursive=True)}
        found = list(psutil.process_iter(["pid", "ppid", "cmdline", "memory_info", "create_time"]))
        commands = {process.info["pid"]: process.info["cmdline"] for process in found}
        for process in found:
            info = process.info
            is_server = any(self._home in part for part in info["cmdline"] or [])
            is_starting = _is_starting(info["cmdline"], commands.get(info["ppid"]), time.time() - info["create_time"])
            if (info["pid"] in own or is_server) and info["memory_info"] is not None and not is_starting:
                total += info["memory_info"].rss
        return total / MB


def _is_starting(command: list[str] | None, parent: list[str] | None, age_seconds: float) -> bool:
    """Whether a process is a fork on its way to another program: until then it shows its parent's memory as its own."""
    return bool(command) and command == parent and age_seconds < FORK_SECONDS

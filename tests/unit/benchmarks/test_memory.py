"""Memory is counted once: a fork that still shows its parent's is left out."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import psutil
import pytest

from benchmarks import memory
from benchmarks.memory import MB, MemoryWatch

BALLAST = 200 * MB


@pytest.mark.parametrize(("fork_seconds", "times"), [(60.0, 1), (0.0, 2)])
def test_a_young_fork_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork_seconds: float, times: int
) -> None:
    monkeypatch.setattr(memory, "FORK_SECONDS", fork_seconds)
    ballast = bytearray(os.urandom(1024)) * (BALLAST // 1024)
    release = multiprocessing.get_context("fork").Event()
    fork = multiprocessing.get_context("fork").Process(target=release.wait, daemon=True)
    fork.start()
    try:
        counted = MemoryWatch(tmp_path, with_self=True)._resident()
    finally:
        release.set()
        fork.join()
    own = psutil.Process().memory_info().rss / MB
    assert len(ballast) == BALLAST
    assert times * own * 0.6 < counted < times * own * 1.3

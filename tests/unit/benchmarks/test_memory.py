"""Memory is counted once: a fork that still shows its parent's is left out."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.memory import MB, MemoryWatch

BALLAST_MB = 200


@pytest.mark.parametrize(("fork_seconds", "is_counted"), [(60.0, False), (0.0, True)])
def test_a_young_fork_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork_seconds: float, is_counted: bool
) -> None:
    monkeypatch.setattr(memory, "FORK_SECONDS", fork_seconds)
    ballast = bytearray(os.urandom(1024)) * (BALLAST_MB * MB // 1024)
    watch = MemoryWatch(tmp_path, with_self=True)
    before = watch._resident()
    release = multiprocessing.get_context("fork").Event()
    fork = multiprocessing.get_context("fork").Process(target=release.wait, daemon=True)
    fork.start()
    try:
        gained = watch._resident() - before
    finally:
        release.set()
        fork.join()
    assert len(ballast) == BALLAST_MB * MB
    assert (gained > BALLAST_MB / 2) == is_counted

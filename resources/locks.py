"""Locks between processes: an advisory lock on a file, released by the kernel when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.1


class Locked(RuntimeError):
    """Another process holds the lock; the message says what it is doing there."""


@contextlib.contextmanager
def file_lock(path: Path, *, wait_seconds: float, busy: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`.

    Args:
        path: lock file, created when absent.
        wait_seconds: how long to wait for another holder.
        busy: the sentence to raise when the wait is over.

    Raises:
        Locked: still held by another process after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise Locked(busy) from error
                time.sleep(POLL_SECONDS)
        yield

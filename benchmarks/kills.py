"""Death by SIGKILL at a chosen call, for processes that tests and benchmarks start.

`python -m benchmarks.kills OWNER NAME before|after COMMAND...` runs a command of liftlake that dies so.
`python -m benchmarks.kills at POINTS LOG COMMAND...` runs one that notes every commit that it makes in the file LOG
and, after commits that the file POINTS names, kills itself or another process.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

# The calls that commit: (owner, name, what is told of the call's arguments).
COMMITS: tuple[tuple[str, str, Callable[..., str]], ...] = (
    ("resources.books.Books", "_append", lambda _, table, __, receipt: f"append {table} for {receipt.table_name}"),
    ("resources.lake.Lake", "write", lambda _, contract, *__: f"write {contract.published_name}"),
    ("resources.lake.Lake", "publish", lambda _, contract, *__: f"publish {contract.published_name}"),
    ("assets.models.demand", "save_bundle", lambda *_: "bundle"),
    ("resources.registry.Registry", "record", lambda *_: "register"),
)


def die_at(owner: str, name: str, *, before: bool) -> None:
    """Make this process die just before or after its first call of `owner.name`; the owner is a module or a class."""
    holder = _holder(owner)
    genuine = getattr(holder, name)

    def dying(*arguments: Any, **named: Any) -> None:
        if not before:
            genuine(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, name, dying)


def kill_after(points: Path, log: Path) -> None:
    """Note every commit of this process in a file, and kill right after some of them.

    Args:
        points: JSON: [what is told of a commit, the file that holds the victim's process id; null: this process].
            Each is done once, by whichever process comes to it while the victim lives; the log says which are.
        log: a line a commit, `SECONDS what`, and a line a kill, `SECONDS killed POINT`.
    """
    wanted = json.loads(points.read_text(encoding="utf-8"))
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = {int(line.rpartition(" ")[2]) for line in lines if " killed " in line}
    waiting = {number: point for number, point in enumerate(wanted) if number not in done}
    out = log.open("a", encoding="utf-8")

    def write(line: str) -> None:
        out.write(f"{time.time():.2f} {line}\n")
        out.flush()

    def noted(told: str) -> None:
        write(told)
        for number, (label, victim) in waiting.items():
            process = _process(victim) if victim else os.getpid()
            if label == told and psutil.pid_exists(process):
                del waiting[number]
                write(f"killed {number}")
                os.kill(process, signal.SIGKILL)
                return

    for owner, name, tell in COMMITS:
        _tell_after(_holder(owner), name, tell, noted)


def _process(path: str) -> int:
    """The id in a file: a number, or the `pid` of a JSON object."""
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return int(found["pid"] if isinstance(found, dict) else found)


def _tell_after(holder: Any, name: str, tell: Callable[..., str], noted: Callable[[str], None]) -> None:
    genuine = getattr(holder, name)

    @functools.wraps(genuine)
    def telling(*arguments: Any, **named: Any) -> Any:
        done = genuine(*arguments, **named)
        noted(tell(*arguments))
        return done

    setattr(holder, name, telling)


def _holder(owner: str) -> Any:
    module, _, kind = owner.rpartition(".") if owner[owner.rindex(".") + 1].isupper() else (owner, "", "")
    found: Any = importlib.import_module(module)
    return getattr(found, kind) if kind else found


def main() -> None:
    """Run the command that the arguments name, and die as they say."""
    first, second, third, *command = sys.argv[1:]
    if first == "at":
        kill_after(Path(second), Path(third))
    else:
        die_at(first, second, before=third == "before")
    importlib.import_module("cli.__main__").main(command)


if __name__ == "__main__":
    main()

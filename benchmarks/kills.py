"""Death by SIGKILL at a chosen call, for processes that tests start.

`python -m benchmarks.kills OWNER NAME before|after COMMAND...` runs a command of liftlake that dies so.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any


def die_at(owner: str, name: str, *, before: bool) -> None:
    """Make this process die just before or after its first call of `owner.name`; the owner is a module or a class."""
    module, _, kind = owner.rpartition(".") if owner[owner.rindex(".") + 1].isupper() else (owner, "", "")
    holder: Any = importlib.import_module(module)
    holder = getattr(holder, kind) if kind else holder
    genuine = getattr(holder, name)

    def dying(*arguments: Any, **named: Any) -> None:
        if not before:
            genuine(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, name, dying)


if __name__ == "__main__":
    die_at(sys.argv[1], sys.argv[2], before=sys.argv[3] == "before")
    importlib.import_module("cli.__main__").main(sys.argv[4:])

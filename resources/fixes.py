"""A user's function that mends records.

Belongs here: loading it. Does not belong here: which records it gets (quarantine).
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Fix = Callable[[Record], Record | None]


class FixError(ValueError):
    """A fix file cannot be used; the message names it and what is wrong."""


def load_fix(path: Path) -> Fix:
    """The function `fix` of a Python file: a record in, the mended record out, or None to leave it where it is.

    A record is a dictionary of the file's columns; one that could not be read has the one key `_raw`, its text.

    Raises:
        FixError: the file cannot be run or has no function `fix`.
    """
    try:
        found = runpy.run_path(str(path)).get("fix")
    except Exception as error:  # whatever the file's own code raises
        raise FixError(f"{path} cannot be run: {type(error).__name__}: {error}.") from error
    if not callable(found):
        raise FixError(f"{path} has no function fix(record).")
    return found  # type: ignore[return-value]  what it returns is checked when it is used

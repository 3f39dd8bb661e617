"""The one intent of a lake, written before a batch is committed and removed after it is booked.

Belongs here: the file that survives a kill. Does not belong here: what follows from it (delivery_plan).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from resources.delivery_plan import Intent


def intent_path(home: Path) -> Path:
    return home / "ingest-intent.json"


def declare(home: Path, intent: Intent) -> None:
    """Store the intent; it is on disk when this returns. One process writes to a lake, so there is one at most."""
    target = intent_path(home)
    draft = target.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(asdict(intent), stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(target)


def declared(home: Path) -> Intent | None:
    """The intent of a writer that did not come to its end, if there is one."""
    path = intent_path(home)
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    # An earlier release also wrote a number of the attempt.
    return Intent(found["source"], found["table_name"], found["batch_id"])


def withdraw(home: Path) -> None:
    """Forget the intent: its batch is booked, or what it left is undone."""
    intent_path(home).unlink(missing_ok=True)

"""What the programs of benchmarks/ share: their options, where reference data lie, the object that they return.

Belongs here: the promise of `liftlake bench --json`. Does not belong here: a measurement.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resources.settings import SettingsError, load_settings

_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Options:
    """What a user may say: the folder of the data, and which rounds (`1-6`) of a protocol that has rounds."""

    data: Path | None = None
    rounds: str | None = None

    def folder(self, name: str) -> Path:
        """The folder given, else the data set `name` of the reference data.

        Raises:
            SettingsError: neither is there.
        """
        reference = load_settings().reference_data
        folder = self.data or (reference / name if reference else None)
        if folder is None or not folder.is_dir():
            where = "nothing was given" if folder is None else f"{folder} is no folder"
            raise SettingsError(
                f"The data set {name} is missing ({where}): pass --data, or set LIFTLAKE_REFERENCE_DATA."
            )
        return folder


@dataclass
class Stopwatch:
    """Wall time from its creation on; lap times of named parts."""

    began: float = field(default_factory=time.perf_counter)

    def seconds(self) -> float:
        return round(time.perf_counter() - self.began, 3)


def result(
    name: str,
    configuration: Mapping[str, Any],
    metrics: Mapping[str, float],
    seconds: float,
    *,
    published: Mapping[str, float] | None = None,
    rivals: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """The object of `bench --json`."""
    return {
        "name": name,
        "configuration": {"python": sys.version.split()[0], **configuration},
        "metrics": dict(metrics),
        "published": dict(published or {}),
        "seconds": seconds,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB),
        "rivals": dict(rivals or {}),
    }


def progress(sentence: str) -> None:
    """One line on stderr, so that stdout stays one JSON object."""
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()

"""What besides rows and parameters decides the bytes of a model: libraries, interpreter, processor.

Belongs here: naming it. Does not belong here: the fit.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("catboost", "numpy", "polars", "scipy")
_CPU_INFO = Path("/proc/cpuinfo")


def training_environment() -> dict[str, str]:
    """Name to version; `cpu` is the processor's model, since vector instructions round differently."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "cpu": _cpu(),
    }


def changed_environment(recorded: dict[str, str] | None) -> list[str]:
    """How this environment differs from a recorded one, in words; nothing where nothing was recorded."""
    if recorded is None:
        return []
    now = training_environment()
    names = sorted({*recorded, *now})
    return [
        f"{name} was {recorded.get(name, 'not recorded')} and is {now.get(name, 'not known')}"
        for name in names
        if recorded.get(name) != now.get(name)
    ]


def _cpu() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"}:
                return value.strip()
    return platform.processor() or platform.machine()

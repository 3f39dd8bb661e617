"""The libraries that decide what a packed model forecasts, and the versions of them under which it may be loaded.

Belongs here: the ranges, and whether what is installed lies within them. Does not belong here: a bundle's files
(ml.packaging), the exact versions that a model was made with (resources.environment).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet

RANGES = "library_ranges"
# Those of pyproject.toml, which a test holds together, but for catboost's: a model is made by one version exactly, and
# a later one reads its file. That it scores the same is proved by the bundle's reference rows; else an upgrade would
# leave the gate a champion that it cannot compare with.
LIBRARY_RANGES: Mapping[str, str] = {
    "catboost": ">=1.2.10,<2",
    "numpy": ">=2",
    "pandas": ">=2.2,<3",
    "polars": ">=1.30",
}


def unmet_ranges(ranges: Mapping[str, str]) -> list[str]:
    """What is installed and outside its range, in words; nothing where all are within.

    Raises:
        packaging.specifiers.InvalidSpecifier: a range is none.
    """
    found = {name: _installed(name) for name in sorted(ranges)}
    return [
        f"{name} {found[name] or 'is not installed'} ({ranges[name]} is needed)"
        for name in found
        if found[name] is None or not SpecifierSet(ranges[name]).contains(str(found[name]), prereleases=True)
    ]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

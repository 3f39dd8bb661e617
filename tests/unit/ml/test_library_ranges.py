"""Ranges of libraries: those of pyproject.toml, and what lies outside of one is named."""

from __future__ import annotations

import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ml.library_ranges import LIBRARY_RANGES, unmet_ranges
from resources.settings import PROJECT_ROOT


def test_they_are_those_of_the_project() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {item.name: item.specifier for item in map(Requirement, project["dependencies"])}
    ranges = {name: SpecifierSet(span) for name, span in LIBRARY_RANGES.items()}
    (made_by,) = pins["catboost"]
    assert made_by.operator == "=="
    assert ranges.pop("catboost").contains(made_by.version)
    assert ranges == {name: pins[name] for name in ranges}
    assert {"numpy", "polars"} <= set(ranges)


def test_what_is_installed_is_within() -> None:
    assert unmet_ranges(LIBRARY_RANGES) == unmet_ranges({}) == []


def test_all_that_are_outside_are_named_and_no_others() -> None:
    found = unmet_ranges({"polars": "<1", "numpy": f"=={version('numpy')}", "pandas": ">=99", "no-such-library": ">=1"})
    assert found == [
        "no-such-library is not installed (>=1 is needed)",
        f"pandas {version('pandas')} (>=99 is needed)",
        f"polars {version('polars')} (<1 is needed)",
    ]
    with pytest.raises(InvalidSpecifier):
        unmet_ranges({"numpy": "two"})

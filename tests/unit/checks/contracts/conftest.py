"""A small contract document that every test may change, and the real contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.contracts.loader import FOLDER, load_contracts
from checks.contracts.model import Contract
from tests.unit.checks.contracts.odcs_reference import plain_yaml

Document = dict[str, Any]


@pytest.fixture(scope="session")
def contracts() -> Mapping[tuple[str, str], Contract]:
    """Every contract of the project."""
    return load_contracts()


@pytest.fixture
def document() -> Document:
    """The contract of bronze.pos_lines as a mapping, free to be changed."""
    return plain_yaml(FOLDER / "bronze" / "pos_lines.odcs.yaml")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Document], Path]:
    """Writes a document to the place that its id names, and returns the path."""

    def write(content: Document) -> Path:
        layer, _, name = str(content["id"]).partition(".")
        path = tmp_path / layer / f"{name}.odcs.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
        return path

    return write

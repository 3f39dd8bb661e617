"""The published ODCS schema and examples, from the folder of reference data."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml


def reference_data(name: str) -> Path:
    """A folder of the reference data; skips the test where there is none."""
    folder = os.environ.get("LIFTLAKE_REFERENCE_DATA")
    if not folder:
        pytest.skip("LIFTLAKE_REFERENCE_DATA is not set: the published ODCS schema and examples are not here")
    return Path(folder) / name


def plain_yaml(path: Path) -> Any:
    """A file as YAML says it, by the parser in C: the one in Python takes ten times as long."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


@cache
def schema_of_the_package() -> jsonschema.Draft201909Validator:
    """The JSON schema that the standard's own package carries."""
    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft201909Validator(json.loads(text))


@cache
def published_schema() -> jsonschema.Draft201909Validator:
    """The published JSON schema of ODCS 3.1."""
    text = reference_data("odcs").joinpath("odcs-json-schema-v3.1.0.json").read_text(encoding="utf-8")
    return jsonschema.Draft201909Validator(json.loads(text))


def example_files() -> list[Path]:
    """The 17 published example contracts."""
    return sorted(reference_data("odcs").glob("examples/*/*.odcs.yaml"))

"""The published ODCS schema and examples, from the folder of reference data."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import jsonschema
import pytest


def reference_data(name: str) -> Path:
    """A folder of the reference data; skips the test where there is none."""
    folder = os.environ.get("LIFTLAKE_REFERENCE_DATA")
    if not folder:
        pytest.skip("LIFTLAKE_REFERENCE_DATA is not set: the published ODCS schema and examples are not here")
    return Path(folder) / name


@cache
def published_schema() -> jsonschema.Draft201909Validator:
    """The published JSON schema of ODCS 3.1."""
    text = reference_data("odcs").joinpath("odcs-json-schema-v3.1.0.json").read_text(encoding="utf-8")
    return jsonschema.Draft201909Validator(json.loads(text))


def example_files() -> list[Path]:
    """The 17 published example contracts."""
    return sorted(reference_data("odcs").glob("examples/*/*.odcs.yaml"))

"""The definitions of the demo lake, built once; building them starts no Spark server."""

from __future__ import annotations

import dagster as dg
import pytest

from definitions import build_definitions, build_graph
from tests.conftest import throwaway_settings


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(build_graph(throwaway_settings(tmp_path_factory.mktemp("graph"))))

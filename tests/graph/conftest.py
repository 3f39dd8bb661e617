"""The definitions of the demo lake, built once; building them starts no Spark server."""

from __future__ import annotations

import dagster as dg
import pytest

from definitions import build_definitions, build_graph
from resources.settings import Settings


@pytest.fixture(scope="session")
def definitions(graph_settings: Settings) -> dg.Definitions:
    return build_definitions(build_graph(graph_settings))

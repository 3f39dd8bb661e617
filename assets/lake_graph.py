"""The facts of one lake's graph, from its settings, its contracts and the mapping of its source.

Belongs here: what every command needs of the graph. Does not belong here: the assets themselves (catalogue,
definitions), which take seconds to load.
"""

from __future__ import annotations

from assets.graph import Graph
from checks.contracts.loader import load_contracts
from checks.contracts.presence import absent, present
from resources.mapping import load_mapping
from resources.settings import Settings


def build_graph(settings: Settings) -> Graph:
    """The facts of one lake's graph: settings, contracts, the mapping of its source."""
    mapping, contracts = load_mapping(settings.lake.source).having(settings.lake.tables), load_contracts()
    return Graph(settings, present(contracts, mapping.delivered), mapping, absent(contracts, mapping.delivered))

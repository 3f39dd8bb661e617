"""What follows the publication of a table, in the same step.

Belongs here: who is told of what was published, and what is made to agree with it. Does not belong here: the
publication (checks.asset_checks.audit), what is told (models.responses, resources.outbound_events).
"""

from collections.abc import Callable

from assets.graph import Graph
from assets.models.card import write_cards
from assets.models.drift import DECISIONS
from assets.models.responses import drift_messages
from resources.champions import HISTORY, project_champion
from resources.lake import Lake
from resources.notifier import tell
from resources.outbound import announce
from resources.outbound_events import FORECASTS
from resources.registry import Registry


def followed_by(graph: Graph) -> dict[str, Callable[[Lake, Registry], None]]:
    """Published name -> what happens once the table is published."""

    def decided(lake: Lake, registry: Registry) -> None:
        project_champion(lake, registry)
        announce(lake)

    def issued(lake: Lake, _registry: Registry) -> None:
        announce(lake)

    def watched(lake: Lake, _registry: Registry) -> None:
        write_cards(graph, lake)
        tell(lake.settings, drift_messages(lake, graph))
        announce(lake)

    return {HISTORY: decided, FORECASTS: issued, DECISIONS: watched}

"""One command's view of the lake: settings, graph, tables.

Belongs here: opening and closing these together. Does not belong here: running assets (workbench), what a command
prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from assets.graph import Graph, Key
from assets.lake_graph import build_graph
from cli.output import WRONG_USE, err, stop
from resources.formats import FORMAT, lake_format, migrate, require_format
from resources.lake import Lake
from resources.preconditions import unmet
from resources.settings import Settings, load_settings
from resources.spark import SparkDoor
from resources.token_keys import Rotation, end_rotation, rotation_of


@dataclass(frozen=True)
class Session:
    """Everything that a command needs; made by `session`."""

    settings: Settings
    graph: Graph
    lake: Lake


def require_home(settings: Settings) -> None:
    """End the command with a sentence when home or store cannot be reached, or there is no room."""
    lacking = unmet(settings)
    if lacking is not None:
        stop(f"{lacking.name}: {lacking.found}; {lacking.mend}.", WRONG_USE)


@contextmanager
def session(settings: Settings | None = None) -> Iterator[Session]:
    """Open the lake for one command.

    Raises:
        SettingsError and the other user errors of cli.output.
    """
    chosen = settings or load_settings()
    require_home(chosen)
    graph = build_graph(chosen)
    with closing(Lake(chosen, SparkDoor(chosen))) as lake:
        _bring_up(lake, graph)
        yield Session(chosen, graph, lake)


@contextmanager
def promotion_session() -> Iterator[Session]:
    """Open the lake for a command about promotions; ends it with a sentence where the source has none."""
    with session() as opened:
        if not opened.graph.has("insights", "promotion_lift"):
            source = opened.settings.lake.source
            stop(f"The source {source} delivers no promotions: there is no lift and no advice.", WRONG_USE)
        yield opened


def _bring_up(lake: Lake, graph: Graph) -> None:
    """Migrate a lake that an older release made, and complete a rotation that was only not published whole.

    A lake of a newer release is refused.
    """
    before = lake_format(lake.settings)
    if before < FORMAT:
        lake.claim(is_repair=True)
        migrate(lake.spark, lake.settings, graph.contracts)
        err.print(f"The lake was of format {before} and is of format {FORMAT} now.", highlight=False)
    elif before > FORMAT:
        require_format(lake.settings)
    rotation = rotation_of(lake.settings)
    if rotation is not None and rotation.publishing:
        lake.claim(is_repair=True)
        publish_rotated(lake, graph, rotation)


def publish_rotated(lake: Lake, graph: Graph, rotation: Rotation) -> None:
    """Move the views of all tables that carry tokens to the versions under the new key, and end the rotation."""
    for name, version in rotation.publishing.items():
        layer, table = key_of(name)
        contract = graph.contract(layer, table)
        made_from = lake.newest(contract).provenance
        assert made_from is not None
        lake.publish(contract, version, made_from)
    end_rotation(lake.settings, rotation)


def key_of(name: str) -> Key:
    """The layer and the table of a published name."""
    layer, _, table = name.partition(".")
    return layer, table

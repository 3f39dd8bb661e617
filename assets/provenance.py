"""What a run's asset is made from, and which of its weeks the run leaves as they were.

Belongs here: the provenance of one write. Does not belong here: the write (graph), what is behind in the lake as a
whole (automation.plan).

A run may make fewer weeks than its inputs touch: one span of several, a week that somebody asked for. The others are
named in the version itself, so that whatever becomes of the rest of the work, the next plan finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from assets.automation.plan import Key, Node, reach
from checks.contracts.model import Contract
from resources.changes import changed_weeks
from resources.commits import Provenance
from resources.lake import Lake
from resources.spans import as_texts, between, from_texts, in_order

if TYPE_CHECKING:
    from assets.graph import Graph


def provenance(context: dg.AssetExecutionContext, lake: Lake, graph: Graph, contract: Contract) -> Provenance:
    """What the running asset is made from: its code, the versions of the tables it depends on, and its weeks."""
    spec = context.assets_def.specs_by_key[dg.AssetKey(contract.key)]
    upstream = [graph.contracts[pair(dep.asset_key)] for dep in spec.deps]
    inputs = {table.published_name: str(lake.token(table)) for table in upstream}
    code = spec.code_version or ""
    if context.assets_def.partitions_def is None:
        return Provenance(code, inputs)
    weeks = context.partition_key_range
    made = between(date.fromisoformat(weeks.start), date.fromisoformat(weeks.end))
    wanted = graph.wanted_of(spec.tags)
    mappings = {pair(dep.asset_key): dep.partition_mapping for dep in spec.deps}
    node = Node(contract.key, tuple(mappings), code, wanted, windows(mappings))
    before = lake.publication(contract)
    earlier = before.provenance if before is not None and before.provenance.code == code else None
    due = _due(lake, graph, node, inputs, earlier) if {*wanted} - {*made} else set()
    behind = in_order(due - {*made})
    through = weeks.end
    if earlier is not None and earlier.through is not None and made[-1] < wanted[-1]:
        through = max(through, earlier.through)
    return Provenance(code, inputs, through, as_texts(made), as_texts(behind))


def _due(lake: Lake, graph: Graph, node: Node, inputs: Mapping[str, str], earlier: Provenance | None) -> set[date]:
    """The weeks that are due: touched by a change of an input since the published version, or left by that."""
    if earlier is None:
        return {*(node.wanted or ())}
    due = {*from_texts(earlier.behind)}
    for dep in node.deps:
        contract = graph.contracts[dep]
        before, now = earlier.inputs.get(contract.published_name), inputs[contract.published_name]
        if before != now:
            changed = changed_weeks(lake, contract, before, now, only_gains=graph.only_gains(dep)) if before else None
            due |= set(reach(node, dep, changed) or ())
    return due


def windows(mappings: Mapping[Key, dg.PartitionMapping | None]) -> dict[Key, int]:
    """The inputs of which all weeks before are read, and so many after; see `Node.read_through`."""
    return {
        dep: window.end_offset for dep, window in mappings.items() if isinstance(window, dg.TimeWindowPartitionMapping)
    }


def pair(key: dg.AssetKey) -> Key:
    """The layer and the name of an asset's table."""
    layer, name = key.path
    return layer, name

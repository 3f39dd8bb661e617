"""The graph and the lake as the plan sees them.

Belongs here: turning Dagster specs and Delta versions into Nodes and a State. Does not belong here: the rules (plan).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from assets.automation.plan import Key, Node, State
from assets.graph import KEPT_TAG, Graph
from assets.provenance import pair, windows
from resources.changes import changed_weeks
from resources.commits import Provenance
from resources.delivery_plan import is_settled
from resources.lake import Lake
from resources.offsets import Standing, position_of
from resources.receipts import receipts_of
from resources.source_bytes import file_sha256
from resources.spans import Weeks
from resources.topics import Topics
from resources.verdicts import Fault, newest_audit, unfinished_audits


def nodes_of(asset_graph: BaseAssetGraph, graph: Graph) -> list[Node]:
    """All assets of the graph, upstream first."""
    nodes = []
    for key in asset_graph.toposorted_asset_keys:
        asset = asset_graph.get(key)
        mappings = {pair(dep): asset.partition_mappings.get(dep) for dep in asset.parent_keys}
        nodes.append(
            Node(
                key=pair(key),
                deps=tuple(sorted(mappings)),
                code=asset.code_version or "",
                wanted=graph.wanted_of(asset.tags) if asset.partitions_def else None,
                read_through=windows(mappings),
                has_step=asset.is_materializable,
                is_kept=KEPT_TAG in asset.tags,
                only_gains=graph.only_gains(pair(key)),
            )
        )
    return nodes


def state_of(lake: Lake, graph: Graph, nodes: Sequence[Node], instance: dg.DagsterInstance) -> State:
    """What the lake holds of the graph's tables; the source's files are hashed again.

    Bronze is read as it is, so its audits decide what may be built on it; any other table is read as published, and no
    unaudited version is. A check that was begun and has no result is due again.
    """
    made_from: dict[Key, Provenance] = {}
    tokens: dict[Key, str] = {}
    unpublished: set[Key] = set()
    contracts = [graph.contracts[node.key] for node in nodes]
    published = lake.existing([contract.published_name for contract in contracts])
    newest = lake.newest_of([contract for contract in contracts if contract.published_name in published])
    for key, commit in newest.items():
        contract = graph.contracts[key]
        if contract.layer == "bronze":
            tokens[key] = str(commit.version)
            if commit.provenance is not None and key[1] not in graph.mapping.tables:
                made_from[key] = commit.provenance
        else:
            publication = lake.publication(contract)
            if publication is not None:
                tokens[key] = str(publication.version)
                made_from[key] = publication.provenance
                if commit.version != publication.version:
                    unpublished.add(key)
    audits = {
        node.key: newest_audit(instance, graph.contracts[node.key], int(tokens[node.key]))
        for node in nodes
        if node.key[0] == "bronze" and node.has_step and node.key in tokens
    }
    unchecked = {key for key, audit in audits.items() if audit is False}
    # A check publishes before Dagster has its result, and what follows a publication follows in the check.
    unchecked |= unfinished_audits(instance, [graph.contracts[key] for key in made_from if key[0] != "bronze"])
    return State(
        made_from, tokens, _arrived(lake, graph), _changed_weeks(lake, graph, nodes, made_from, tokens),
        unchecked=frozenset(unchecked),
        faults={key: audit for key, audit in audits.items() if isinstance(audit, Fault)},
        unpublished=frozenset(unpublished),
    )  # fmt: skip


def _arrived(lake: Lake, graph: Graph) -> dict[Key, list[str]]:
    """Source table -> what waits to be ingested: new files, and the messages of its topic."""
    mapping = graph.mapping
    known = receipts_of(lake, graph.contract("bronze", "ingest_ledger"), mapping.source)
    found: dict[Key, list[str]] = {}
    for table in mapping.tables:
        paths = graph.source_files(table)
        settled = {path for path in paths if is_settled(known, table, path.name, file_sha256(path), mapping.sha256)}
        new = [path.name for path in paths if path not in settled]
        topic = graph.topic(table)
        if topic is not None:
            read = position_of(receipt for receipt in known if receipt.table_name == table)
            new += _waiting(Standing(topic, read, Topics(graph.settings).state(topic)))
        if new:
            found["bronze", table] = new
    return found


def _waiting(standing: Standing) -> list[str]:
    if standing.losses:
        return standing.losses
    return [f"{standing.lag:,} messages of topic {standing.topic}"] if standing.lag else []


def _changed_weeks(
    lake: Lake, graph: Graph, nodes: Sequence[Node], made_from: Mapping[Key, Provenance], tokens: Mapping[Key, str]
) -> dict[tuple[Key, str], Weeks | None]:
    """For every table that moved on under a weekly consumer: its weeks that changed."""
    changed: dict[tuple[Key, str], Weeks | None] = {}
    for node in nodes:
        inputs = made_from[node.key].inputs if node.key in made_from and node.wanted is not None else {}
        for dep in node.deps:
            token, now = inputs.get(".".join(dep)), tokens.get(dep)
            if token and now and token != now and (dep, token) not in changed:
                contract = graph.contracts[dep]
                changed[dep, token] = changed_weeks(lake, contract, token, now, only_gains=graph.only_gains(dep))
    return changed

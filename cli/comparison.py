"""What `liftlake contract diff` compares, and whom the changes reach.

Belongs here: two versions of contracts from files, folders or git, and the impact as data. Does not belong here: what a
change means (checks.contracts.diff) or how it is printed (cli.contract).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assets.catalogue import graph_assets
from assets.graph import Graph
from assets.lineage import FEATURE_TABLE, consumers, data_tests, data_tests_on, features_hit, read_manifest
from checks.contracts.changes import Change
from checks.contracts.diff import diff_contracts
from checks.contracts.impact import Use, changed_columns, impact, rules_that_read
from checks.contracts.loader import Draft, draft_contract, draft_contracts
from checks.contracts.model import LAYERS, Contract
from resources.dbt_project import manifest_path
from resources.mapping import load_mapping
from resources.settings import load_settings

Contracts = Mapping[tuple[str, str], Contract]


def read_version(path: Path) -> Draft:
    """The contracts of a file `<layer>/<name>.odcs.yaml`, or of a folder of such files.

    Raises:
        LookupError: there is no such file or folder. ContractError: it holds no contract that can be read.
    """
    if not path.exists():
        raise LookupError(f"{path} does not exist: give a contract file or a folder with <layer>/<name>.odcs.yaml.")
    return draft_contract(path.resolve()) if path.is_file() else draft_contracts(path)


def compare(old: Draft, new: Draft) -> tuple[Change, ...]:
    """Every change between two versions; what did not compile before is no change."""
    known = {(error.file, error.path, error.rule) for error in old.errors}
    fresh = [error for error in new.errors if (error.file, error.path, error.rule) not in known]
    return diff_contracts(old.contracts, new.contracts, fresh)


def reach(changes: Iterable[Change], old: Contracts) -> dict[str, Any]:
    """Tables, features, models, forecasts and insights that use the changed columns; rules and tests that read them.

    The graph is that of this project with the old contracts in it, because the new ones need not fit its code.
    """
    settings = load_settings()
    contracts = {**draft_contracts().contracts, **old}
    graph = Graph(settings, contracts, load_mapping(settings.lake.source))
    manifest = read_manifest(manifest_path(settings))
    code = consumers(graph, graph_assets(graph), manifest)
    changed = changed_columns(changes, old)
    uses = sorted(impact(changed, code), key=lambda use: LAYERS.index(_layer(use.table)))
    hit = {table: {*columns} for table, columns in changed.items()}
    for use in uses:
        hit.setdefault(use.table, set()).update(use.columns)
    rows = {layer: [_row(use) for use in uses if _layer(use.table) == layer] for layer in LAYERS}
    return {
        "tables": [*rows["bronze"], *rows["silver"], *rows["gold"]],
        "features": _features(changed, uses, contracts),
        **{layer: rows[layer] for layer in ("models", "forecasts", "insights")},
        "rules": [{"table": table, "rule": rule} for table, rule in rules_that_read(changed, contracts)],
        "data_tests": [{"table": table, "test": test} for table, test in data_tests_on(hit, data_tests(manifest))],
    }


def _layer(table: str) -> str:
    return table.partition(".")[0]


def _row(use: Use) -> dict[str, Any]:
    return {
        "table": use.table,
        "certainty": use.certainty,
        "via": use.via,
        "by": list(use.by),
        "columns": list(use.columns),
    }


def _features(changed: Mapping[str, Iterable[str]], uses: Iterable[Use], contracts: Contracts) -> dict[str, list[str]]:
    """Features that are made from changed columns, and those that may be."""
    hit, is_reached = list(changed.get(FEATURE_TABLE, ())), False
    for use in uses:
        if use.table == FEATURE_TABLE:
            hit, is_reached = [*hit, *use.columns], True
    layer, _, name = FEATURE_TABLE.partition(".")
    every = features_hit(contracts[layer, name].column_names)
    sure = [feature for feature in every if feature in hit]
    return {"uses": sure, "may_use": [feature for feature in every if feature not in sure] if is_reached else []}

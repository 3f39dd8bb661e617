"""Silver: the dbt models as assets. Never a module named dbt.

Belongs here: how dbt's models become assets of this graph, and one call of dbt for the dimensions, one for the facts.
Does not belong here: SQL (dbt/), columns (checks.contracts).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from assets.graph import RETRIES, WEEKS_TAG, Graph, code_digest, freshness_policy, static_metadata
from assets.provenance import provenance
from resources.commits import Provenance
from resources.dbt import invocation
from resources.dbt_project import manifest_path, project_files
from resources.isolation import start_from_published
from resources.lake import Lake

WEEKLY = "config.meta.partition_column:week_start_date"
MARTS = "fqn:liftlake.marts"


class SilverTranslator(DagsterDbtTranslator):
    """Models and sources of dbt as assets of the graph: keys, owners and texts come from the contracts."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph
        self._code = project_files()

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        layer = "bronze" if dbt_resource_props["resource_type"] == "source" else "silver"
        return dg.AssetKey([layer, dbt_resource_props["name"]])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        layer, name = spec.key.path
        contract = self._graph.contracts.get((layer, name))
        if contract is None:
            return spec
        is_weekly = "partition_column" in manifest["nodes"].get(unique_id, {}).get("config", {}).get("meta", {})
        weeks = {WEEKS_TAG: "covered"} if is_weekly else {}
        return spec.replace_attributes(
            group_name=layer,
            owners=[contract.owner],
            description=contract.description,
            code_version=code_digest(self._code, contract, [self._graph.mapping.timezone, self._graph.absent]),
            freshness_policy=freshness_policy(contract),
            kinds={"dbt", "spark", "deltalake"},
        ).merge_attributes(metadata=static_metadata(contract), tags={"layer": layer, **weeks})


def silver_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Two groups of models: dimensions and undated facts are rebuilt whole, dated facts by business week."""
    manifest = manifest_path(graph.settings, graph.absent)
    return [_entities(graph, manifest), _weekly_facts(graph, manifest)]


def _entities(graph: Graph, manifest: Path) -> dg.AssetsDefinition:
    @dbt_assets(
        manifest=manifest,
        name="silver_entities",
        select=MARTS,
        exclude=WEEKLY,
        dagster_dbt_translator=SilverTranslator(graph),
        retry_policy=RETRIES,
    )
    def silver_entities(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: dg.ResourceParam[Lake]
    ) -> Iterator[Any]:
        # Tests that need facts too run with the facts, as they do where all entities are built.
        yield from _build(context, dbt, lake, graph, {}, ["--exclude", WEEKLY])

    return silver_entities


def _weekly_facts(graph: Graph, manifest: Path) -> dg.AssetsDefinition:
    @dbt_assets(
        manifest=manifest,
        name="silver_weekly_facts",
        select=f"{MARTS},{WEEKLY}",
        dagster_dbt_translator=SilverTranslator(graph),
        partitions_def=graph.weeks,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=RETRIES,
    )
    def silver_weekly_facts(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: dg.ResourceParam[Lake]
    ) -> Iterator[Any]:
        weeks = context.partition_key_range
        yield from _build(context, dbt, lake, graph, {"week_start": weeks.start, "week_end": weeks.end})

    return silver_weekly_facts


def _build(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: Lake, graph: Graph, weeks: Mapping[str, str],
    more: Sequence[str] = (),
) -> Iterator[Any]:  # fmt: skip
    """One call of dbt for the selected models: tables from their contracts, then the models, then their row counts."""
    lake.prepare()
    _ensure_tested(lake, graph)
    variables = {
        "timezone": graph.mapping.timezone,
        "first_weekday": graph.mapping.first_weekday.capitalize(),
        "absent": list(graph.absent),
        **weeks,
    }
    made_from: dict[str, Provenance] = {}
    for key in sorted(context.selected_asset_keys):
        layer, name = key.path
        contract = graph.contract(layer, name)
        week = f"week_start_date BETWEEN DATE'{weeks['week_start']}' AND DATE'{weeks['week_end']}'" if weeks else "TRUE"
        made_from[name] = provenance(context, lake, graph, contract)
        start_from_published(lake, contract, made_from[name])
        lake.ensure_table(contract, week)
    command = ["build", "--exclude-resource-type", "unit_test", *more]
    with invocation(dbt, lake, context, command, variables, made_from) as running:
        for event in running.stream():
            yield _with_count(event, lake, graph) if isinstance(event, dg.Output) else event


def _ensure_tested(lake: Lake, graph: Graph) -> None:
    """Tables, empty at first, of all models: dbt's tests of the selected ones look at others too, made yet or not."""
    names = [key for key in graph.contracts if key[0] == "silver" and ".".join(key) not in graph.absent]
    contracts = {graph.contract(*key).audit_name: graph.contract(*key) for key in names}
    for name in sorted({*contracts} - lake.existing([*contracts])):
        lake.ensure_table(contracts[name])


def _with_count(event: dg.Output[Any], lake: Lake, graph: Graph) -> dg.Output[Any]:
    """The same event with the row count of the version that dbt wrote."""
    name = event.output_name.rpartition("__")[2]
    contract = graph.contracts.get(("silver", name))
    if contract is None:
        return event
    rows = lake.query(f"SELECT COUNT(*) AS n FROM {lake.audit_relation(contract)}")["n"][0]
    return event.with_metadata({**event.metadata, "dagster/row_count": rows})

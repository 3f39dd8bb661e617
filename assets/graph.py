"""What every asset shares: its specification from the contract, its provenance, its write.

Belongs here: the one way from a contract to an asset's arguments, and from rows to a materialisation. Does not belong
here: what any table holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl

from assets.provenance import provenance
from checks.contracts.model import Column, Contract
from ml.business_calendar import week_end_at
from resources.deliveries import source_files
from resources.isolation import start_from_published
from resources.lake import Lake
from resources.mapping import WEEKDAYS, SourceMapping
from resources.settings import PROJECT_ROOT, WEEK, Settings
from resources.spans import Weeks

DATE_FORMAT = "%Y-%m-%d"
# Which business weeks an asset should hold: `covered` every week of the lake, `closed` those that are over at the
# lake's clock, `issue` the last of these only.
WEEKS_TAG = "liftlake/weeks"
# On an asset that is made once: newer inputs are no reason to make it anew.
KEPT_TAG = "liftlake/kept"
# Metadata of an ingest: the weeks that it touched; up to where a topic was read, and what came meanwhile.
TOUCHED_WEEKS = "touched_weeks"
TOPIC_POSITION, TOPIC_LAG = "topic_position", "topic_lag_messages"
WeekSpan = Literal["covered", "closed", "issue"]
# The server may die under a step: the retry brings it back. What a contract refuses is not tried again.
RETRIES = dg.RetryPolicy(max_retries=2, delay=1)
Key = tuple[str, str]
# Tables that only gain rows: a token is the household's for good, and a household that is new stands in the batch that
# brought it, so that no other week is touched.
ONLY_GAINS: frozenset[Key] = frozenset({("bronze", "household_keys")})


class NoWeekOver(ValueError):
    """No business week of the lake is over at its clock."""


@dataclass(frozen=True)
class Graph:
    """The facts from which the asset graph of one lake is built.

    Attributes:
        settings: of the lake.
        contracts: of the tables that its source can fill.
        mapping: of its source.
        absent: published names of the tables that its source cannot fill.
    """

    settings: Settings
    contracts: Mapping[Key, Contract]
    mapping: SourceMapping
    absent: tuple[str, ...] = ()

    @cached_property
    def weeks(self) -> dg.TimeWindowPartitionsDefinition:
        """The business weeks of the lake; a partition key is the week's first day."""
        lake_weeks = self.settings.lake.weeks
        weekday = (WEEKDAYS.index(self.mapping.first_weekday) + 1) % 7
        return dg.TimeWindowPartitionsDefinition(
            start=lake_weeks.first.isoformat(),
            end=(lake_weeks.last + WEEK).isoformat() if lake_weeks.last else None,
            fmt=DATE_FORMAT,
            cron_schedule=f"0 0 * * {weekday}",
            timezone="UTC",
        )

    def has(self, layer: str, name: str) -> bool:
        """Whether the lake has such a table."""
        return (layer, name) in self.contracts

    def contract(self, layer: str, name: str) -> Contract:
        return self.contracts[layer, name]

    def asset(
        self,
        layer: str,
        name: str,
        *,
        kinds: set[str],
        code: Iterable[Path],
        deps: Iterable[Key] = (),
        weeks: WeekSpan | None = None,
        read_through: Mapping[Key, int] | None = None,
        settings: Sequence[object] = (),
        condition: dg.AutomationCondition | None = None,
        is_kept: bool = False,
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """The decorator that makes a function the asset of the table (layer, name).

        Args:
            layer, name: the table's contract.
            kinds: what made the table, shown as icons.
            code: files whose content is the version of the asset's code.
            deps: upstream tables, read for the same week where both are weekly.
            weeks: partitioned by business week (a range in one run), and which of them the asset should hold.
            read_through: weekly upstream tables of which all earlier weeks and so many later ones are read too.
            settings: settings that change the rows.
            condition: when automation materialises it.
            is_kept: made once for its code, contract and settings, and again only when asked for by name.
        """
        contract = self.contract(layer, name)
        return dg.asset(
            key=dg.AssetKey(contract.key),
            deps=[
                *(dg.AssetDep(dg.AssetKey(key)) for key in deps),
                *(
                    dg.AssetDep(dg.AssetKey(key), partition_mapping=self._window(ahead))
                    for key, ahead in (read_through or {}).items()
                ),
            ],
            partitions_def=self.weeks if weeks else None,
            backfill_policy=dg.BackfillPolicy.single_run() if weeks else None,
            group_name=layer,
            kinds=kinds,
            owners=[contract.owner],
            description=contract.description,
            metadata=static_metadata(contract),
            tags={
                "layer": layer,
                **({WEEKS_TAG: weeks} if weeks else {}),
                **({KEPT_TAG: "true"} if is_kept else {}),
            },
            code_version=code_digest(code, contract, settings),
            freshness_policy=freshness_policy(contract),
            automation_condition=condition,
            retry_policy=RETRIES,
        )

    def _window(self, weeks_ahead: int) -> dg.TimeWindowPartitionMapping:
        """All weeks before, the same one, and so many after it."""
        return dg.TimeWindowPartitionMapping(
            start_offset=-len(self.week_keys()), end_offset=weeks_ahead, allow_nonexistent_upstream_partitions=True
        )

    def side_table(self, layer: str, name: str, *, kinds: set[str], written_by: Iterable[Key]) -> dg.AssetSpec:
        """A table without a step of its own: the steps of other assets write it."""
        contract = self.contract(layer, name)
        return dg.AssetSpec(
            key=dg.AssetKey(contract.key),
            deps=[dg.AssetKey(key) for key in written_by],
            group_name=layer,
            kinds=kinds,
            owners=[contract.owner],
            description=contract.description,
            metadata=static_metadata(contract),
            tags={"layer": layer},
        )

    def source_files(self, table: str) -> list[Path]:
        """The files of a source table: the source's own folder, then the landing folder."""
        landing = [self.settings.landing] if self.settings.landing.is_dir() else []
        own = self.mapping.files is not None or self.settings.source_files is not None
        folders = [*([self.mapping.folder(self.settings)] if own else []), *landing]
        return source_files(self.mapping, table, tuple(folders))

    def topic(self, table: str) -> str | None:
        """The topic that feeds a source table, where the lake has brokers."""
        return self.mapping.tables[table].topic if self.settings.kafka_brokers else None

    def week_keys(self) -> Sequence[str]:
        """Every partition key of the lake, oldest first."""
        return self.weeks.get_partition_keys()

    def week_dates(self) -> list[date]:
        """The first day of every business week of the lake, oldest first."""
        return [date.fromisoformat(key) for key in self.week_keys()]

    def cutoff_week(self) -> date:
        """The last business week that is over at the lake's clock.

        Raises:
            NoWeekOver: set the clock later.
        """
        as_of = self.settings.as_of
        for start in reversed(self.week_dates()):
            if self.week_end(start) <= as_of:
                return start
        raise NoWeekOver(f"No business week is over at {as_of:%Y-%m-%d}: set as_of in lake.yaml to a later instant.")

    def wanted_weeks(self) -> Mapping[str, Weeks]:
        """The weeks that the tables of each span should hold.

        Raises:
            NoWeekOver: set the clock later.
        """
        weeks, cutoff = self.week_dates(), self.cutoff_week()
        return {"covered": tuple(weeks), "closed": tuple(w for w in weeks if w <= cutoff), "issue": (cutoff,)}

    def wanted_of(self, tags: Mapping[str, str]) -> Weeks:
        """The weeks that a weekly asset with these tags should hold."""
        return self.wanted_weeks()[tags.get(WEEKS_TAG, "covered")]

    def only_gains(self, key: Key) -> bool:
        """Whether newer inputs of a table only add rows, which concern no week but those that the inputs touch."""
        return key in ONLY_GAINS

    def week_end(self, start: date) -> datetime:
        """The UTC instant at which the business week that starts on `start` is over."""
        return week_end_at(start, self.mapping.timezone)


def code_digest(files: Iterable[Path], contract: Contract, settings: Sequence[object] = ()) -> str:
    """Version of an asset's code: a digest of its files, its contract and the settings that change its rows."""
    digest = hashlib.sha256(contract.sha256.encode())
    for path in sorted(set(files)):
        digest.update(str(path.relative_to(PROJECT_ROOT)).encode())
        digest.update(path.read_bytes())
    for setting in settings:
        digest.update(repr(setting).encode())
    return digest.hexdigest()[:16]


def freshness_policy(contract: Contract) -> dg.FreshnessPolicy:
    """Dagster's view of the SLA: by the wall clock and for the whole asset.

    The check `freshness` says the same against the lake's clock and per partition, which this policy cannot.
    """
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=max(contract.freshness.days, 1)))


def static_metadata(contract: Contract) -> dict[str, Any]:
    """Metadata that the contract knows before any run."""
    return {
        "dagster/table_name": contract.published_name,
        "dagster/column_schema": dg.TableSchema(columns=[_table_column(column) for column in contract.columns]),
        "contract": f"checks/contracts/{contract.file}",
        "contract_version": contract.version,
        "freshness_days": contract.freshness.days,
    }


def _table_column(column: Column) -> dg.TableColumn:
    tags = {"classification": column.classification} if column.classification else {}
    constraints = dg.TableColumnConstraints(nullable=column.is_nullable)
    return dg.TableColumn(column.name, column.type, column.description, constraints=constraints, tags=tags)


def in_weeks(context: dg.AssetExecutionContext, contract: Contract) -> pl.Expr:
    """The rows of a weekly table that this run makes."""
    weeks = context.partition_key_range
    first, last = date.fromisoformat(weeks.start), date.fromisoformat(weeks.end)
    return pl.col(str(contract.week_column)).is_between(first, last)


def replaced_rows(contract: Contract, weeks: dg.PartitionKeyRange, span: str, last: date) -> str:
    """SQL condition of the rows that a run over `weeks` replaces: those, and what lies after the `last` wanted week.

    Such rows come of another clock or another release. A vintage (span `issue`) stays, whatever the clock says.
    """
    end = "9999-12-31" if span != "issue" and weeks.end >= last.isoformat() else weeks.end
    return f"{contract.week_column} BETWEEN DATE'{weeks.start}' AND DATE'{end}'"


def materialise(
    context: dg.AssetExecutionContext,
    lake: Lake,
    graph: Graph,
    contract: Contract,
    rows: pl.DataFrame,
    *,
    where: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult:
    """Write `rows` as the new unaudited version of a table and describe what was written.

    `where` is the condition of the rows that are replaced: by default those of the run's weeks, or all rows of a table
    that is not made by week. The blocking check publishes the version.
    """
    if where is None and context.assets_def.partitions_def:
        span = context.assets_def.tags_by_key[dg.AssetKey(contract.key)][WEEKS_TAG]
        where = replaced_rows(contract, context.partition_key_range, span, graph.wanted_weeks()[span][-1])
    made_from = provenance(context, lake, graph, contract)
    start_from_published(lake, contract, made_from)
    version = lake.write(contract, rows, made_from, where or "TRUE")
    return dg.MaterializeResult(metadata={**written(contract, version, rows.height), **(metadata or {})})


def written(contract: Contract, version: int, row_count: int) -> dict[str, Any]:
    """Metadata of one write; the same keys every time, so that the UI draws them as a line."""
    return {
        "dagster/row_count": row_count,
        "dagster/table_name": contract.published_name,
        "delta_version": version,
        "audit_table": contract.audit_name,
    }

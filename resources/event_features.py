"""The event features of a lake: of whole weeks from bronze, and kept up with the batches of a topic.

Belongs here: reading events for features, and adding what a batch brought to the tables. Does not belong here: what a
feature is (ml.event_features), when an asset is made (assets).

A version of a feature table names the version of the events that is in it. A batch is added to the version that has
everything before it; whatever else happened (a file, a replay, a kill between the batch and its features), the weeks
that it touched are recomputed: both give the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from checks.contracts.model import Contract
from checks.contracts.rule_sql import literal
from ml.event_features import GREATEST, HOUR, LEAST, SUMS, event_features
from ml.frame_checks import WEEK
from ml.tokens import household_tokens
from resources.audits import audit_table
from resources.changes import changed_weeks
from resources.commits import Provenance
from resources.conform import conform
from resources.lake import Lake
from resources.receipts import Receipt
from resources.settings import Settings
from resources.spans import Weeks, as_texts, from_texts, in_order, where_sql
from resources.token_keys import token_key
from resources.validation import Verdict

EVENTS = "bronze.telemetry_events"
HOUSEHOLDS = "household_token"
# Feature table -> whose features it holds.
KEYS = {"household_event_features": HOUSEHOLDS, "store_event_features": "store_id"}
EVENT_COLUMNS = ("household_id", "store_id", WEEK, "event_type", "quantity_units", "event_at", "known_at")
# Spark makes Java code of a query, which Java compiles while it runs: for the few rows of a batch not worth it.
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


class BrokenFeatures(RuntimeError):
    """A version of a feature table did not pass its contract; readers stay on the one before it."""

    def __init__(self, contract: Contract, verdict: Verdict, version: int) -> None:
        rules = ", ".join(result.rule_id for result in verdict.failures if result.severity == "error")
        super().__init__(f"{contract.published_name} version {version} breaks its contract: {rules}.")
        self.contract, self.verdict, self.version = contract, verdict, version


def events_where(lake: Lake, condition: str) -> pl.DataFrame:
    """What features need of the events that a SQL condition names: one row per event."""
    return lake.query(f"SELECT {', '.join(EVENT_COLUMNS)} FROM {EVENTS} WHERE {condition}")


def features_of(settings: Settings, table: str, events: pl.DataFrame) -> pl.DataFrame:
    """The features of a table from events, as ml.event_features gives them."""
    key = KEYS[table]
    if key != HOUSEHOLDS:
        return event_features(events, key)
    # An hour of a household is counted before its token is made: a token costs more than a count.
    rows = event_features(events, "household_id")
    tokens = household_tokens(rows["household_id"].unique(), *token_key(settings)).drop("key_version")
    return rows.join(tokens, on="household_id").drop("household_id").sort(key, WEEK, HOUR)


def features_where(lake: Lake, table: str, condition: str) -> pl.DataFrame:
    """The features of a table from the events that a SQL condition names."""
    return features_of(lake.settings, table, events_where(lake, condition))


@dataclass(frozen=True)
class FeatureTable:
    """A feature table of the graph: its contract, and the version of the code that makes it."""

    contract: Contract
    code: str


class FollowedFeatures:
    """The feature tables of one lake, as long as one process follows a topic; `weeks` are those that they cover."""

    def __init__(
        self, lake: Lake, tables: Sequence[FeatureTable], by_name: Mapping[str, Contract], weeks: Weeks
    ) -> None:
        self._lake = lake
        self._tables = tables
        self._by_name = by_name
        self._weeks = weeks
        self._made: dict[str, Provenance] = {}

    def catch_up(self) -> None:
        """Recompute what the tables lack of the events that are in bronze, and publish it.

        Raises:
            BrokenFeatures: what was recomputed breaks its contract.
        """
        now = str(self._lake.newest(self._by_name[EVENTS]).version)
        for table in self._tables:
            weeks = self._behind(table, now)
            if weeks is not None:
                self._recompute(table, weeks, now)
            if weeks is not None or not self._is_published(table.contract):
                self._publish(table, weeks or ())

    def add(self, batch: Receipt) -> None:
        """Add what a batch brought to every table, and publish it; raises as `catch_up`."""
        if not batch.accepted:
            return
        now = self._lake.newest(self._by_name[EVENTS]).version
        is_next = all(int(made.inputs[EVENTS]) == now - 1 for made in self._made.values())
        events = self._lake.added(EVENTS, now, EVENT_COLUMNS) if is_next else None
        if events is None:
            self.catch_up()
            return
        with self._lake.set_to(INTERPRETED):
            self._add(events.filter(pl.col(WEEK).is_in(self._weeks)), now)

    def _add(self, events: pl.DataFrame, now: int) -> None:
        for table in self._tables:
            name = table.contract.name
            self._made[name] = replace(self._made[name], inputs={EVENTS: str(now)})
            rows = features_of(self._lake.settings, name, events)
            # Nothing is written of a batch that has nothing for a table.
            if not rows.is_empty():
                self._merge(table.contract, rows)
                self._publish(table, in_order(rows[WEEK]))

    def _behind(self, table: FeatureTable, now: str) -> Weeks | None:
        """The weeks that a table has to be recomputed for; None: it has all events."""
        contract = table.contract
        is_there = self._lake.exists(contract.audit_name)
        made = self._lake.newest(contract).provenance if is_there else None
        if made is None or made.code != table.code or made.through is None:
            return self._weeks
        self._made[contract.name] = made
        if made.through < self._weeks[-1].isoformat():
            return self._weeks
        touched = {*from_texts(made.behind)}
        if made.inputs[EVENTS] != now:
            since = changed_weeks(self._lake, self._by_name[EVENTS], made.inputs[EVENTS], now)
            touched |= {*(self._weeks if since is None else since)}
        return in_order(touched & {*self._weeks}) if touched else None

    def _recompute(self, table: FeatureTable, weeks: Weeks, now: str) -> None:
        where, through = where_sql(WEEK, weeks), self._weeks[-1].isoformat()
        made = Provenance(code=table.code, inputs={EVENTS: now}, through=through, made=as_texts(weeks))
        self._lake.write(table.contract, features_where(self._lake, table.contract.name, where), made, where)
        self._made[table.contract.name] = made

    def _merge(self, contract: Contract, rows: pl.DataFrame) -> None:
        """Add a batch's features to a table in one commit, which says that its events are in it."""
        made = replace(self._made[contract.name], made=as_texts(rows[WEEK]))
        same = " AND ".join(f"old.{name} = new.{name}" for name in (KEYS[contract.name], WEEK, HOUR))
        changed = [
            *(f"old.{name} = old.{name} + new.{name}" for name in SUMS),
            *(f"old.{name} = LEAST(old.{name}, new.{name})" for name in LEAST),
            *(f"old.{name} = GREATEST(old.{name}, new.{name})" for name in GREATEST),
        ]
        # The bounds keep Delta from reading files of other hours.
        hours = f"old.{HOUR} BETWEEN {literal(rows[HOUR].min())} AND {literal(rows[HOUR].max())}"
        with self._lake.stamped(made), self._lake.staged(contract, conform(rows, contract)) as relation:
            self._lake.spark.sql(
                f"MERGE INTO {contract.audit_name} old USING (SELECT * FROM {relation}) new ON {same} AND {hours} "
                f"WHEN MATCHED THEN UPDATE SET {', '.join(changed)} WHEN NOT MATCHED THEN INSERT *"
            )
        self._made[contract.name] = made

    def _is_published(self, contract: Contract) -> bool:
        seen = self._lake.publication(contract)
        return seen is not None and seen.version == self._lake.newest(contract).version

    def _publish(self, table: FeatureTable, weeks: Weeks) -> None:
        span = (weeks[0], weeks[-1]) if weeks else None
        verdict, audited = audit_table(self._lake, table.contract, self._by_name, span)
        if not verdict.passed:
            raise BrokenFeatures(table.contract, verdict, audited.version)
        self._lake.publish(table.contract, audited.version, self._made[table.contract.name])

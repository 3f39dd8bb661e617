"""How old the tables are.

Belongs here: the newest row of each source in a table that the lake's clock may know, and the business weeks that have
none, beside the SLA of the contract. Does not belong here: what follows from a late table (asset checks, status,
report).

A table is fresh when each of its sources is: the newest row of each is young enough, days on which its business is
closed not counted, and, where the contract promises rows for every business week, no week that is over and due is
without. A backfill of an old week mends that week and no other; it cannot make the newest row younger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from checks.contracts.model import Contract
from ml.business_calendar import week_end_at
from ml.closed_days import ClosedDays
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class SourceAge:
    """How one source's rows in a table stand against the SLA.

    Attributes:
        source: None where the table does not name its sources.
        newest: None when no row could be known yet.
        closed: the part of the time since then in which the source's business was closed.
        missing_weeks: business weeks that are due and have no row.
    """

    source: str | None
    newest: datetime | None
    as_of: datetime
    allowed: timedelta
    closed: timedelta = timedelta()
    missing_weeks: tuple[date, ...] = ()

    @property
    def is_fresh(self) -> bool:
        if self.newest is None or self.missing_weeks:
            return False
        return self.as_of - self.newest - self.closed <= self.allowed


@dataclass(frozen=True)
class Age:
    """How a table stands against its SLA: every source of it, the latest first."""

    sources: tuple[SourceAge, ...]
    as_of: datetime
    allowed: timedelta

    @property
    def is_fresh(self) -> bool:
        """Whether every source is."""
        return bool(self.sources) and all(item.is_fresh for item in self.sources)

    @property
    def newest(self) -> datetime | None:
        """The newest row of the source that is furthest behind; None when one has no row."""
        found = [item.newest for item in self.sources]
        known = [item for item in found if item is not None]
        return min(known) if known and len(known) == len(found) else None


def table_ages(lake: Lake, contracts: Sequence[Contract], mapping: SourceMapping) -> dict[str, Age]:
    """Every table by its published name, in one query; `mapping` is that of the lake's own source.

    A table whose contract names no time column is as fresh as its inputs: fresh when it is published. A table that is
    not published is not fresh. Whether a table may be empty is a rule of its own; an empty one has no age.
    """
    as_of = lake.settings.as_of
    existing = lake.existing([contract.published_name for contract in contracts])
    published = [contract for contract in contracts if contract.published_name in existing]
    parts = [_part(contract, as_of) for contract in published if contract.freshness.column is not None]
    found: dict[str, list[SourceAge]] = {contract.published_name: [] for contract in contracts}
    by_name = {contract.published_name: contract for contract in contracts}
    calendars: dict[str | None, SourceMapping] = {None: mapping, mapping.source: mapping}
    for row in lake.query(" UNION ALL ".join(parts)).iter_rows(named=True) if parts else ():
        source = row["source"]
        calendar = calendars.setdefault(source, mapping if source is None else load_mapping(source))
        found[row["name"]].append(_age(by_name[row["name"]], source, row, as_of, calendar))
    for contract in published:
        if not found[contract.published_name]:
            found[contract.published_name] = [SourceAge(None, as_of, as_of, _allowed(contract))]
    return {name: _whole(ages, as_of, _allowed(by_name[name])) for name, ages in found.items()}


def _part(contract: Contract, as_of: datetime) -> str:
    """The query of one table: a row per source that delivers to it; what is made here has no source."""
    column, clock = contract.freshness.column, f"TIMESTAMP'{as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
    is_delivered = contract.layer == "bronze" and "source" in contract.column_names
    source = "source" if is_delivered else "CAST(NULL AS STRING)"
    weeks = "COLLECT_SET(week_start_date)" if contract.freshness.every_week else "CAST(ARRAY() AS ARRAY<DATE>)"
    return (
        f"SELECT '{contract.published_name}' AS name, {source} AS source, {weeks} AS weeks, "
        f"MAX(CAST({column} AS TIMESTAMP)) FILTER (WHERE {column} <= {clock}) AS newest "
        f"FROM {contract.published_name} GROUP BY {source}"
    )


def _allowed(contract: Contract) -> timedelta:
    return timedelta(days=contract.freshness.days)


def _age(contract: Contract, source: str | None, row: dict, as_of: datetime, mapping: SourceMapping) -> SourceAge:
    newest, closed_days = row["newest"], mapping.closed_days
    closed = closed_days.closed_between(newest, as_of) if newest is not None else timedelta()
    missing = missing_weeks(row["weeks"], as_of, _allowed(contract), closed_days)
    return SourceAge(source, newest, as_of, _allowed(contract), closed, missing)


def _whole(ages: Sequence[SourceAge], as_of: datetime, allowed: timedelta) -> Age:
    oldest_first = sorted(ages, key=lambda item: (item.newest or datetime.min.replace(tzinfo=UTC), item.source or ""))
    return Age(tuple(oldest_first), as_of, allowed)


def missing_weeks(
    held: Sequence[date], as_of: datetime, allowed: timedelta, closed_days: ClosedDays
) -> tuple[date, ...]:
    """The business weeks after the first one held that are due at `as_of` and not held.

    A week is due when it has been over for `allowed` open time; one that was closed throughout never is.
    """
    missing, week = [], min(held, default=None)
    present = set(held)
    while week is not None:
        end = week_end_at(week, closed_days.timezone)
        if as_of - end - closed_days.closed_between(end, as_of) < allowed:
            break
        if week not in present and not closed_days.is_closed_week(week):
            missing.append(week)
        week += WEEK
    return tuple(missing)

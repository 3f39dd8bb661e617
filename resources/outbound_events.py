"""What other programs are told of: which rows of the lake are events, and how an event is written.

Belongs here: the kinds of events, the rows that each is made from, and its CloudEvents envelope. Does not belong here:
what its data promise (checks/contracts/events), sending (outbound).

An event is a function of one row of the lake and of nothing else: no book of events can differ from the tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from checks.contracts.loader import load_event_contracts
from checks.contracts.messages import json_value
from checks.contracts.model import EVENTS, Contract
from ml.backtest import MODEL
from ml.baselines import SIMPLE_RULE
from ml.champions import KEPT
from ml.drift_decisions import Cause
from ml.features import TARGET_WEEK
from resources.champions import HISTORY
from resources.lake import Lake
from resources.registry import MODEL_NAME

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
FORECASTS, DRIFT, ACTIONS = "forecasts.demand_forecasts", "models.drift_decisions", "bronze.action_assignments"
# Named one by one, so that a column more in the table is no new digest of old rows.
_ISSUED = (
    "issue_week_start_date", "issued_as_of", "store_id", "product_group", TARGET_WEEK, "horizon_weeks", "method",
    "measure", "p10", "p50", "p90", "model_version", "data_version",
)  # fmt: skip
# No two rows of an issue week are equal, so that none cancels another.
_DIGEST = f"LPAD(LOWER(HEX(BIT_XOR(XXHASH64({', '.join(_ISSUED)})))), 16, '0')"
_IS_MODEL = f"method = '{MODEL}'"
_DRIFTED = ", ".join(f"'{cause}'" for cause in (Cause.DATA_FAULT, Cause.CONCEPT, Cause.COVARIATE))


# One row per issue week. Content that comes back with a rollback is another event, by the decision that brought it. A
# decision counts for an issue until the next one, as where it is issued.
_PUBLISHED = f"""(
    SELECT issued.*, COALESCE(MAX(ordinal), 0) AS decision_ordinal
    FROM (
        SELECT issue_week_start_date, issued_as_of, '{MODEL_NAME}' AS model_name, {_DIGEST} AS content_digest,
               COALESCE(MAX(CASE WHEN {_IS_MODEL} THEN method END), '{SIMPLE_RULE}') AS method,
               MAX(CASE WHEN {_IS_MODEL} THEN model_version END) AS model_version,
               MAX(measure) AS measure,
               MIN({TARGET_WEEK}) AS first_target_week_start_date,
               MAX({TARGET_WEEK}) AS last_target_week_start_date,
               COUNT(DISTINCT store_id, product_group) AS series_count,
               COUNT(DISTINCT store_id) AS store_count
        FROM {FORECASTS} GROUP BY issue_week_start_date, issued_as_of) AS issued
    LEFT JOIN (
        SELECT ordinal, model_version AS promoted, decided_as_of FROM {HISTORY} WHERE decision <> '{KEPT}')
    ON promoted = model_version AND decided_as_of < issued_as_of + INTERVAL 7 DAYS
    GROUP BY ALL)"""


@dataclass(frozen=True)
class Kind:
    """One kind of event.

    Attributes:
        name: of its contract.
        table: the published table that it is made from.
        rows: SQL relation with a row for each event and the columns of the contract.
        at: the column of the instant at which it happened, by the lake's clock.
        subject: columns that say what it is about; events of one subject arrive in the order in which they happened.
        where: SQL condition of the rows that are events.
    """

    name: str
    table: str
    rows: str
    at: str
    subject: tuple[str, ...]
    where: str = "TRUE"

    @property
    def type(self) -> str:
        return f"liftlake.{self.name.replace('_', '.')}"

    def query(self, contract: Contract, since: datetime) -> str:
        """The SQL of the data of the events that happened at `since` or later."""
        from_then = f"{self.at} >= TIMESTAMP'{since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
        return f"SELECT {', '.join(contract.column_names)} FROM {self.rows} WHERE {from_then} AND {self.where}"


# At one instant they happen in this order.
KINDS = (
    Kind("model_promoted", HISTORY, HISTORY, "decided_as_of", ("model_name",), f"decision <> '{KEPT}'"),
    Kind("forecast_published", FORECASTS, _PUBLISHED, "issued_as_of", ("model_name",)),
    Kind("drift_found", DRIFT, DRIFT, "decided_as_of", ("model_name",), f"cause IN ({_DRIFTED})"),
    Kind("action_approved", ACTIONS, ACTIONS, "decided_at", (TARGET_WEEK, "store_id", "product_group")),
)


@dataclass(frozen=True)
class Event:
    """A CloudEvent 1.0, as it is sent in structured mode.

    Attributes:
        id: of its type, its source and the key columns of its contract: what is made again has the same id.
        source: of which lake; `type`: what happened; `subject`: to what.
        time: when, by the lake's clock, UTC.
        dataschema: the contract of `data`, with its version.
    """

    id: str
    source: str
    type: str
    subject: str
    time: str
    dataschema: str
    data: Mapping[str, Any]
    specversion: str = "1.0"
    datacontenttype: str = "application/json"

    def envelope(self) -> dict[str, Any]:
        """The event as one JSON object."""
        return asdict(self)


def contracts_by_type() -> dict[str, Contract]:
    """Type of an event -> the contract of its data."""
    contracts = load_event_contracts()
    return {kind.type: contracts[EVENTS, kind.name] for kind in KINDS}


def event_of(kind: Kind, contract: Contract, lake_source: str, row: Mapping[str, Any]) -> Event:
    """The event of one row.

    Args:
        kind, contract: of the event.
        lake_source: name of the lake's source.
        row: the columns of the contract; others are left out.
    """
    data = {name: json_value(row[name]) for name in contract.column_names}
    source = f"/liftlake/{lake_source}"
    identity = [kind.type, source, *(data[name] for name in contract.primary_key)]
    return Event(
        id=hashlib.sha256(json.dumps(identity, ensure_ascii=False).encode()).hexdigest(),
        source=source,
        type=kind.type,
        subject="/".join(str(data[name]) for name in kind.subject),
        time=data[kind.at],
        dataschema=f"urn:liftlake:{contract.published_name}:{contract.version}",
        data=data,
    )


def events_of(kind: Kind, contract: Contract, lake_source: str, rows: Iterable[Mapping[str, Any]]) -> list[Event]:
    """The events of rows, in the order of their keys."""
    ordered = sorted(rows, key=lambda row: [row[name] for name in contract.primary_key])
    return [event_of(kind, contract, lake_source, row) for row in ordered]


def events_since(lake: Lake, since: datetime) -> list[Event]:
    """The events of what readers of the lake see, from an instant of its clock on, as they happened."""
    contracts, there = contracts_by_type(), lake.existing([kind.table for kind in KINDS])
    found: list[Event] = []
    for kind in KINDS:
        if kind.table in there:
            contract = contracts[kind.type]
            rows = lake.query(kind.query(contract, since)).iter_rows(named=True)
            found += events_of(kind, contract, lake.settings.lake.source, rows)
    # Stable: at one instant the kinds and keys stay in their order.
    return sorted(found, key=lambda event: datetime.fromisoformat(event.time))

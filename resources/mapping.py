"""Source mappings: how one retailer's files become the canonical bronze events, as data.

Belongs here: the shape of a mapping file. Does not belong here: the SQL that follows from it (projection), reading
source files (ingest) or anything about a particular source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.closed_days import ClosedDays
from resources.lake_file import LakeDefaults
from resources.records import Format, Text
from resources.settings import PROJECT_ROOT, Settings

SOURCES = PROJECT_ROOT / "assets" / "bronze" / "sources"
SALES_ONLY = "'sale'"
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS = get_args(Weekday)


class MappingError(ValueError):
    """A mapping file is wrong or its files cannot be found; the message names the file and the rule."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Files(_Part):
    """Where the files of a source lie: inside an installed package, or in a folder. Without it: where they land."""

    package: str | None = None
    folder: str = "."


class Duplicates(_Part):
    """When two records are one event: the whole row is equal, or its key is."""

    scope: Literal["row", "key"]
    key: tuple[str, ...] = ()


class Kind(_Part):
    """One kind that an exploded record may become: its condition and the columns that only it has."""

    when: str
    columns: Mapping[str, str] = Field(default_factory=dict)


class Explode(_Part):
    """A record that holds several events: `column` names the kind of each."""

    column: str
    kinds: Mapping[str, Kind]


class TableMapping(_Part):
    """One canonical table of a source: its files and one SQL expression per business column.

    Attributes:
        pattern, format, text: which files, and how they are written.
        columns: business column -> SQL over the columns of the file; of a text file these are all texts.
        duplicates: when two records are one event.
        event_at, week_start_date: when it happened; at least one for events, none for lookups.
        known_at, latency_hours, lead_days: when it could be known: an expression, or relative to the event.
        late_after_days: a record older than the newest so far by more is counted as late; never refused for it.
        reject: rule name -> SQL over the columns of the file: true sends the record to quarantine.
        flags: name -> SQL over the columns of the file: what is kept and counted in the ledger.
        read_from: the table whose files these records are read out of, instead of files of their own.
        where: SQL over the columns of the file: which records say something of this table; all without it.
        may_be_null: columns whose expression may be null though its inputs are not; any other such null is a value
            that could not be read, and the record goes to quarantine.
        topic: the Kafka topic that brings the same records, one a message, where the lake has brokers.
        is_optional: only lakes whose `lake.yaml` names the table under `tables` have it.
    """

    pattern: str
    format: Format
    text: Text = Text()
    read_from: str | None = None
    where: str | None = None
    columns: Mapping[str, str]
    duplicates: Duplicates
    event_at: str | None = None
    week_start_date: str | None = None
    known_at: str | None = None
    latency_hours: float = 0
    lead_days: float | None = None
    late_after_days: float | None = None
    reject: Mapping[str, str] = Field(default_factory=dict)
    flags: Mapping[str, str] = Field(default_factory=dict)
    may_be_null: tuple[str, ...] = ()
    explode: Explode | None = None
    topic: str | None = None
    is_optional: bool = False

    @model_validator(mode="after")
    def _readable_topic(self) -> TableMapping:
        if self.topic is not None and (self.format != "jsonl" or self.text.columns is None):
            raise ValueError("a table with a topic is of format jsonl and names its fields in text.columns.")
        return self

    @property
    def has_weeks(self) -> bool:
        """Whether its rows belong to business weeks."""
        return self.week_start_date is not None or self.event_at is not None


class Dirt(_Part):
    """Dirt that the business keeps: what it is and how to count it."""

    name: str
    table: str
    where: str


class Closed(_Part):
    """Days on which the source's business is closed: every such weekday, and single dates, in the source's zone."""

    weekdays: tuple[Weekday, ...] = ()
    dates: tuple[date, ...] = ()


class SourceMapping(_Part):
    """A whole mapping file. `sha256` is the digest of its bytes.

    `usd_per_currency_unit` is the one rate at which amounts become US dollars; `{usd}` stands for it in expressions.
    Days of `closed` do not count as lateness. `lake` is what a lake of this source starts from (`lake.yaml`).
    """

    source: str
    title: str
    notice: str
    files: Files | None = None
    timezone: str
    first_weekday: Weekday
    closed: Closed = Closed()
    currency: str
    usd_per_currency_unit: Decimal = Field(default=Decimal(1), gt=0)
    snapshot_at: datetime
    tables: Mapping[str, TableMapping]
    dirt: tuple[Dirt, ...] = ()
    lake: LakeDefaults | None = None
    sha256: str

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, given: Any) -> Any:
        """Tables that are read out of another's files take over how these are named and written."""
        tables = given.get("tables") if isinstance(given, dict) else None
        if not isinstance(tables, dict):
            return given
        filled = {}
        for name, table in tables.items():
            other = tables.get(table.get("read_from")) if isinstance(table, dict) else None
            shared = {key: other[key] for key in ("pattern", "format", "text") if key in other} if other else {}
            filled[name] = {**table, **shared} if shared else table
        return {**given, "tables": filled}

    @model_validator(mode="after")
    def _sound(self) -> SourceMapping:
        for name, table in self.tables.items():
            if table.read_from is not None and (
                table.read_from not in self.tables or self.tables[table.read_from].read_from is not None
            ):
                raise ValueError(f"tables.{name}.read_from names {table.read_from!r}, which is no table with files.")
        if self.currency != "USD" and self.usd_per_currency_unit == 1:
            raise ValueError(f"usd_per_currency_unit is missing: amounts in {self.currency} become US dollars by it.")
        return self

    @property
    def delivered(self) -> frozenset[str]:
        """What the source brings, in the words of the contracts' `requires`: its tables, and returns of goods sold."""
        kinds = (
            self.tables["pos_lines"].columns.get("line_kind", SALES_ONLY) if "pos_lines" in self.tables else SALES_ONLY
        )
        return frozenset(f"bronze.{name}" for name in self.tables) | ({"returns"} if kinds != SALES_ONLY else set())

    def having(self, optional: Collection[str]) -> SourceMapping:
        """The mapping of a lake that has these optional tables and no other.

        Raises:
            MappingError: one of them is no optional table of this source.
        """
        known = {name for name, table in self.tables.items() if table.is_optional}
        unknown = sorted(set(optional) - known)
        if unknown:
            those = ", ".join(sorted(known)) or "none"
            raise MappingError(f"lake.yaml, tables: {self.source} has no optional {unknown}; it has {those}.")
        tables = {name: table for name, table in self.tables.items() if name not in known or name in optional}
        return self.model_copy(update={"tables": tables})

    @property
    def closed_days(self) -> ClosedDays:
        """The calendar of `closed`."""
        weekdays = frozenset(WEEKDAYS.index(name) for name in self.closed.weekdays)
        return ClosedDays(self.timezone, weekdays, frozenset(self.closed.dates))

    def folder(self, settings: Settings) -> Path:
        """The folder that holds the source's files.

        Raises:
            MappingError: it does not exist.
        """
        if settings.source_files is not None:
            root = settings.source_files
        elif self.files is None:
            raise MappingError(f"Source {self.source} has no folder of its own: its files are brought by `ingest`.")
        elif self.files.package is not None:
            found = find_spec(self.files.package)
            if found is None or not found.submodule_search_locations:
                raise MappingError(f"Source {self.source}: package {self.files.package} is not installed.")
            root = Path(next(iter(found.submodule_search_locations))) / self.files.folder
        else:
            root = Path(self.files.folder)
        if not root.is_dir():
            raise MappingError(f"Source {self.source}: folder {root} does not exist; set LIFTLAKE_SOURCE_FILES.")
        return root


def load_mapping(source: str, folder: Path = SOURCES) -> SourceMapping:
    """Read `<folder>/<source>.yaml`.

    Raises:
        MappingError: there is no such file, or it breaks the rule that the message names.
    """
    path = folder / f"{source}.yaml"
    if not path.exists():
        known = ", ".join(sorted(item.stem for item in folder.glob("*.yaml")))
        raise MappingError(f"There is no mapping for source {source!r}; known sources: {known}.")
    content = path.read_bytes()
    try:
        mapping = SourceMapping(**yaml.safe_load(content), sha256=hashlib.sha256(content).hexdigest())
    except (TypeError, yaml.YAMLError, ValidationError) as error:
        raise MappingError(f"{path.name}: {error}") from error
    rate = f"{mapping.usd_per_currency_unit}BD"
    tables = {
        name: table.model_copy(
            update={"columns": {column: sql.replace("{usd}", rate) for column, sql in table.columns.items()}}
        )
        for name, table in mapping.tables.items()
    }
    return mapping.model_copy(update={"tables": tables})

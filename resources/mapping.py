"""Source mappings: how one retailer's files become the canonical bronze events, as data.

Belongs here: the shape of a mapping file and the SQL expressions that follow from it. Does not belong here: reading
source files (ingest) or anything about a particular source.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.closed_days import ClosedDays
from resources.records import Format, Text
from resources.settings import PROJECT_ROOT, LakeDefaults, Settings

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


def record_projection(mapping: SourceMapping, table: str, raw_columns: tuple[str, ...]) -> list[str]:
    """SQL select items that turn one source record into its canonical columns, times and row hash.

    Columns of an exploded kind stay out (see kind_projection). `row_hash` is over all columns of the record as
    delivered, or as mapped where it is read out of another table's files: it finds candidates for duplicates, the
    declared key or the whole row decides.
    """
    rules = mapping.tables[table]
    zone = mapping.timezone
    items = [f"{lenient(expression)} AS {name}" for name, expression in rules.columns.items()]
    if rules.event_at is not None:
        event = lenient(rules.event_at)
    elif rules.week_start_date is not None:
        event = f"to_utc_timestamp(CAST({lenient(rules.week_start_date)} AS TIMESTAMP), '{zone}')"
    else:
        event = f"TIMESTAMP'{mapping.snapshot_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"
    if rules.week_start_date is not None or rules.event_at is not None:
        given = lenient(rules.week_start_date) if rules.week_start_date is not None else None
        items.append(f"{given or _week_of(event, mapping)} AS week_start_date")
    known = f"({event}) + INTERVAL '{rules.latency_hours * 3600:.0f}' SECOND"
    if rules.known_at is not None:
        known = lenient(rules.known_at)
    elif rules.lead_days is not None:
        known = f"({event}) - INTERVAL '{rules.lead_days * 86400:.0f}' SECOND"
    # A table read out of another's files repeats what it says there: its rows are told apart by what they say.
    said = [f"({lenient(sql)})" for sql in rules.columns.values()]
    hashed = ", ".join(said if rules.read_from else [f"`{name}`" for name in raw_columns])
    return [*items, f"{event} AS event_at", f"{known} AS known_at", f"xxhash64({hashed}) AS row_hash"]


def mentions(expression: str, column: str) -> bool:
    """Whether a SQL expression reads a column of the file."""
    return re.search(rf"(?<![\w']){re.escape(column)}(?![\w'])", expression) is not None


def used_columns(rules: TableMapping, columns: Iterable[str]) -> frozenset[str]:
    """Those of the columns that the mapping of a table reads anywhere."""
    kinds = rules.explode.kinds.values() if rules.explode else ()
    expressions = [
        *rules.columns.values(), *rules.reject.values(), *rules.flags.values(), *(kind.when for kind in kinds),
        *(expression for kind in kinds for expression in kind.columns.values()),
        *(sql for sql in (rules.event_at, rules.known_at, rules.week_start_date, rules.where) if sql),
    ]  # fmt: skip
    return frozenset(name for name in columns if any(mentions(expression, name) for expression in expressions))


def lenient(expression: str) -> str:
    """The expression with casts that give null instead of stopping the batch; `unread_items` finds those nulls."""
    return re.sub(r"\bCAST\s*\(", "TRY_CAST(", expression, flags=re.IGNORECASE)


def _week_of(instant: str, mapping: SourceMapping) -> str:
    """The first day of the business week that holds a UTC instant, in the source's zone."""
    local = f"CAST(from_utc_timestamp({instant}, '{mapping.timezone}') AS DATE)"
    shift = WEEKDAYS.index(mapping.first_weekday)
    # date_trunc('WEEK') knows Mondays only: move the week's first day onto Monday and back.
    return f"date_add(CAST(date_trunc('WEEK', date_sub({local}, {shift})) AS DATE), {shift})"


def flag_column(index: int) -> str:
    """Name of the hidden column of the flag at that place of the mapping."""
    return f"_flag_{index}"


def kind_flag(label: str) -> str:
    """Name of the hidden column that says whether a record is of a kind."""
    return f"_is_{label}"


def kind_columns(explode: Explode) -> list[str]:
    """SQL select items that a record needs so that it can be exploded: a flag and the columns of each kind."""
    items = [f"{kind.when} AS {kind_flag(label)}" for label, kind in explode.kinds.items()]
    return items + [
        f"{expression} AS _{label}_{name}"
        for label, kind in explode.kinds.items()
        for name, expression in kind.columns.items()
    ]


def kind_row(explode: Explode, label: str) -> list[str]:
    """SQL select items of the columns that a row gets from its kind."""
    names = sorted({name for kind in explode.kinds.values() for name in kind.columns})
    own = explode.kinds[label].columns
    values = [f"{f'_{label}_{name}' if name in own else 'NULL'} AS {name}" for name in names]
    return [f"'{label}' AS {explode.column}", *values]

"""Which release's lake this is, and what becomes of one that another release made.

Belongs here: the number of the lake's format, the steps from one number to the next, and tables whose columns are not
those of their contract. Does not belong here: changes of derived rows, which the plan sees by their code.

A lake of an older format is migrated by the first command that opens it; one of a newer format is refused. Both are
decided before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pyarrow.fs import FileSelector, FileSystem
from pyspark.sql import SparkSession

from checks.contracts.model import Contract
from checks.contracts.rule_sql import literal
from checks.contracts.spark_schema import column_definition, create_table_sql
from resources.settings import Settings
from resources.table_files import content, has_files, log_of, table_files

# Raised when tables that no run rebuilds change (bronze, its books, the home's own files), and with what commits say of
# their weeks (format 5), which an older release cannot read.
FORMAT = 5
FILE = "format.json"
LEDGER = "bronze.ingest_ledger"
# Columns that formats 2 to 4 added to those of format 1, as SQL over a row without them.
ADDED: Mapping[str, Mapping[str, str]] = {
    "ingest_ledger": {
        "content_sha256": "file_sha256",
        "file_columns": "CAST(ARRAY() AS ARRAY<STRING>)",
        "file_column_types": "CAST(ARRAY() AS ARRAY<STRING>)",
        "outcome": "'ingested'",
        "reason": "CAST(NULL AS STRING)",
        "late": "0L",
        "flag_counts": "'{}'",
        "last_event_at": "CAST(NULL AS TIMESTAMP)",
        "topic_id": "CAST(NULL AS STRING)",
        "batch_ordinal": "CAST(NULL AS BIGINT)",
        "offset_ranges": "CAST(ARRAY() AS ARRAY<STRING>)",
    },
    "quarantine": {
        "line_number": "CAST(NULL AS BIGINT)",
        "payload_encoding": "'json'",
        "event_at": "CAST(NULL AS TIMESTAMP)",
        "replayed_by": "CAST(NULL AS STRING)",
    },
}


class FormatError(RuntimeError):
    """A lake or a table was made by another release; the message says by which, and the mend. Nothing was written."""


def lake_format(settings: Settings) -> int:
    """The format of the lake in the home; a home without a lake has this release's."""
    path = settings.home / FILE
    if path.exists():
        try:
            return int(json.loads(path.read_bytes())["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path} is spoilt: restore it from a backup of the lake.") from error
    if not has_files(settings, LEDGER):
        return FORMAT
    # Releases before the file: format 2 has the content's digest in the ledger, format 3 the flags.
    columns = _columns_in(table_files(settings), log_of(LEDGER))
    return 1 + ("content_sha256" in columns) + ("flag_counts" in columns)


def require_format(settings: Settings) -> None:
    """Raise FormatError unless this release may write the lake; marks a new one with the format."""
    found = lake_format(settings)
    if found > FORMAT:
        raise FormatError(
            f"{settings.home} is a lake of format {found}, made by a newer release; this one knows format {FORMAT}. "
            "Use the newer release, or set LIFTLAKE_HOME to another folder."
        )
    if found < FORMAT:
        raise FormatError(
            f"{settings.home} is a lake of format {found}, made by an older release: run `liftlake status` once, which "
            f"brings it to format {FORMAT}."
        )
    if not (settings.home / FILE).exists():
        _mark(settings)


def migrate(spark: SparkSession, settings: Settings, contracts: Mapping[tuple[str, str], Contract]) -> None:
    """Bring a lake of an older format to this one: a table a commit, the mark last, so that a repeat goes on."""
    for name, added in ADDED.items():
        contract = contracts["bronze", name]
        if spark.catalog.tableExists(contract.published_name):
            present = set(spark.table(contract.published_name).columns)
            items = [item if item in present else f"{added[item]} AS {item}" for item in contract.column_names]
            if present != {*contract.column_names}:
                rows = f"SELECT {', '.join(items)} FROM {contract.published_name}"
                spark.sql(f"CREATE OR REPLACE TABLE {contract.published_name} USING delta AS {rows}")
    _mark(settings)


def fit_columns(spark: SparkSession, contract: Contract, where: str) -> None:
    """Give a table the columns of its contract, and their descriptions.

    Columns that may be null are added, empty in the rows that it has. Otherwise the table is made anew when the rows of
    `where`, which are about to be written, are all it has.

    Raises:
        FormatError: it has other columns and other rows too.
    """
    name = contract.audit_name
    fields = spark.table(name).schema.fields
    found = [(field.name, field.dataType.simpleString().upper()) for field in fields]
    if found == [(column.name, column.type) for column in contract.columns]:
        for field, column in zip(fields, contract.columns, strict=True):
            if field.metadata.get("comment") != column.description:
                spark.sql(f"ALTER TABLE {name} ALTER COLUMN {column.name} COMMENT {literal(column.description)}")
        return
    added = [column for column in contract.columns if (column.name, column.type) not in found]
    rest = [(column.name, column.type) for column in contract.columns if column not in added]
    if rest == found and all(column.is_nullable for column in added):
        for column in added:
            before = contract.column_names[: contract.column_names.index(column.name)]
            place = f"AFTER {before[-1]}" if before else "FIRST"
            spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({column_definition(column)} {place})")
        return
    if where != "TRUE" and spark.sql(f"SELECT 1 FROM {name} WHERE NOT ({where}) LIMIT 1").collect():
        wanted = {column.name: column.type for column in contract.columns}
        differing = sorted({*found} ^ {*wanted.items()})
        columns = ", ".join(dict.fromkeys(column for column, _ in differing)) or "their order"
        mend = (
            "ingest the files again into another LIFTLAKE_HOME, or use the release that made it"
            if contract.layer == "bronze"
            else f"rebuild all its weeks with `liftlake run {contract.published_name}`"
        )
        raise FormatError(f"{name} has other columns than {contract.file} ({columns}): {mend}.")
    spark.sql(create_table_sql(contract).replace("CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE TABLE", 1))


def _mark(settings: Settings) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    partial = settings.home / f"{FILE}.new"
    partial.write_text(json.dumps({"format": FORMAT}) + "\n", encoding="utf-8")
    partial.replace(settings.home / FILE)


def _columns_in(files: FileSystem, log: str) -> set[str]:
    """The columns of a table by the newest commit that says them; empty when no commit does."""
    commits = [item.path for item in files.get_file_info(FileSelector(log)) if item.extension == "json"]
    for commit in sorted(commits, reverse=True):
        for line in content(files, commit).splitlines():
            schema = json.loads(line).get("metaData", {}).get("schemaString")
            if schema is not None:
                return {field["name"] for field in json.loads(schema)["fields"]}
    return set()

"""The tables of the lake: written behind, audited, published, read.

Belongs here: how a table is written, versioned, published and read over Spark Connect. Does not belong here: what is in
a table (assets, ml), whether it is right (validation), which tables are stale (assets.automation.plan).

A table T of layer L is written as `L_audit.T`; what readers see is the view `L.T`, pinned to one audited version
(ARCHITECTURE decision 3). Bronze tables hold accepted rows only and are read as they are.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from checks.contracts.model import LAYERS, Contract
from checks.contracts.spark_schema import create_table_sql
from resources.commits import USER_METADATA, Commit, Provenance, added_files, newest_commit
from resources.conform import conform
from resources.formats import fit_columns, require_format
from resources.locks import file_lock
from resources.settings import Settings
from resources.spark import SparkDoor
from resources.table_files import location_of, staging_place, table_files
from resources.token_keys import require_no_rotation

NOT_FOUND = "TABLE_OR_VIEW_NOT_FOUND"
NOT_PUBLISHED = "Table {name} is not published yet: materialise its asset first."
TOO_BUSY = "Another run is writing to this lake ({home}): wait until it is done, or stop it; one run writes at a time."


@dataclass(frozen=True)
class Publication:
    """The published state of a table: which version readers see and what it was made from."""

    version: int
    provenance: Provenance


class Lake:
    """All table access of one process. Not thread-safe; one writing process per lake at a time."""

    def __init__(self, settings: Settings, door: SparkDoor) -> None:
        self.settings = settings
        self._door = door
        self._claims = contextlib.ExitStack()
        self._is_claimed = False

    @property
    def spark(self) -> SparkSession:
        session: SparkSession = self._door.session()  # type: ignore[assignment]  Connect's is one in all but type
        return session

    @functools.cached_property
    def files(self) -> FileSystem:
        """The files of the tables."""
        return table_files(self.settings)

    @property
    def spark_url(self) -> str:
        return self._door.url

    def is_reachable(self) -> bool:
        """Whether the server still lives."""
        return self._door.is_open()

    def close(self) -> None:
        """Release the write claim and the session."""
        self.release()
        self._door.close()

    def release(self) -> None:
        """Let others write."""
        self._claims.close()
        self._is_claimed = False

    def claim(self, wait_seconds: float = 0, *, is_repair: bool = False) -> None:
        """Become the one writer until `close`; only a repair writes an older release's lake or a half-rotated one.

        Raises:
            Locked: another process writes. FormatError: another release made the lake. RotationPending.
        """
        if not self._is_claimed:
            if not is_repair:
                require_format(self.settings)
                require_no_rotation(self.settings)
            busy = TOO_BUSY.format(home=self.settings.home)
            lock = file_lock(self.settings.home / "writer.lock", wait_seconds=wait_seconds, busy=busy)
            self._claims.enter_context(lock)
            self._is_claimed = True

    def prepare(self) -> None:
        """Create the schemas that do not exist yet, where the settings say that tables lie."""
        held = {row["namespace"] for row in self.spark.sql("SHOW SCHEMAS").collect()}
        for schema in (*LAYERS, *(f"{layer}_audit" for layer in LAYERS if layer != "bronze")):
            if schema not in held:
                self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema} LOCATION '{self.settings.warehouse}/{schema}.db'")

    # ---------------------------------------------------------------- writing
    def ensure_table(self, contract: Contract, where: str = "FALSE") -> None:
        """The table that writers write, as its contract says; see `fit_columns` for one that has other columns."""
        self.claim()
        try:
            fit_columns(self.spark, contract, where)
        except AnalysisException as error:
            if error.getCondition() != NOT_FOUND:
                raise
            self.spark.sql(create_table_sql(contract))

    def adopt(self, contract: Contract) -> None:
        """Enter into the catalog the table whose files lie in the warehouse already."""
        self.claim()
        folder = location_of(self.settings, contract.audit_name)
        self.spark.sql(f"CREATE TABLE IF NOT EXISTS {contract.audit_name} USING delta LOCATION '{folder}'")

    def stamped(self, provenance: Provenance) -> contextlib.AbstractContextManager[None]:
        """Every commit of this session inside the block carries the provenance."""
        return self.set_to({USER_METADATA: provenance.to_json()})

    @contextlib.contextmanager
    def set_to(self, values: Mapping[str, str]) -> Iterator[None]:
        """Settings of this session inside the block; after it they are the server's."""
        for name, value in values.items():
            self.spark.conf.set(name, value)
        try:
            yield
        finally:
            for name in values:
                self.spark.conf.unset(name)

    def write(
        self, contract: Contract, rows: pl.DataFrame | pa.Table, provenance: Provenance, where: str = "TRUE"
    ) -> int:
        """Replace the rows that match `where` by `rows`, as one new version of the audit table.

        Args:
            rows: columns as in the contract, any order; types must convert without loss.
            where: SQL condition that all of `rows` fulfil; the whole table by default.

        Returns:
            The version written.

        Raises:
            ValueError: columns are missing or unknown; pa.ArrowInvalid: a value does not fit its type.
        """
        table = conform(rows, contract)
        with self.stamped(provenance), self.staged(contract, table) as relation:
            self.ensure_table(contract, where)
            names = ", ".join(contract.column_names)
            self.spark.sql(
                f"INSERT INTO {contract.audit_name} REPLACE WHERE {where} SELECT {names} FROM {relation}"
                if where != "TRUE"
                else f"INSERT OVERWRITE {contract.audit_name} SELECT {names} FROM {relation}"
            )
            newest = self.newest(contract)
            if newest.provenance != provenance:
                # Delta makes no commit of nothing into nothing; the provenance still has to be on record.
                self.spark.sql(f"ALTER TABLE {contract.audit_name} SET TBLPROPERTIES ('liftlake.empty' = 'true')")
                newest = self.newest(contract)
        return newest.version

    @contextlib.contextmanager
    def staged(self, contract: Contract, table: pa.Table) -> Iterator[str]:
        """The rows as a relation on the server: one Parquet file beside the tables.

        Measured: four times faster than a local relation of the same rows (docs/adr/0004).
        """
        with staging_place(self.settings, f"{contract.layer}.{contract.name}.parquet") as (files, path):
            pq.write_table(table, path, filesystem=files)
            yield f"parquet.`{self.settings.warehouse}/{path}`"

    # ------------------------------------------------------------- publishing
    def newest(self, contract: Contract) -> Commit:
        """The newest version of the table that writers write, published or not. Raises LookupError: there is none."""
        return newest_commit(self.files, contract.audit_name)

    def newest_of(self, contracts: Sequence[Contract]) -> dict[tuple[str, str], Commit]:
        """The newest version of every table of these that exists, as `newest` says it of one."""
        existing = self.existing([contract.audit_name for contract in contracts])
        return {contract.key: self.newest(contract) for contract in contracts if contract.audit_name in existing}

    def audit_relation(self, contract: Contract, version: int | None = None) -> str:
        """The newest version of a table, published or not, as what follows FROM."""
        pinned = self.newest(contract).version if version is None else version
        return f"{contract.audit_name} VERSION AS OF {pinned}"

    def token(self, contract: Contract) -> str:
        """What readers of a table see now, as a string that changes when it changes.

        Raises:
            LookupError: nothing was published yet.
        """
        if contract.layer == "bronze":
            return str(self.newest(contract).version)
        state = self.publication(contract)
        if state is None:
            raise LookupError(NOT_PUBLISHED.format(name=contract.published_name))
        return str(state.version)

    def publish(self, contract: Contract, version: int, provenance: Provenance) -> None:
        """Point the view that readers use at `version`: one atomic change of the catalog."""
        self.claim()
        quoted = provenance.to_json().replace("\\", "\\\\").replace("'", "\\'")
        self.spark.sql(
            f"CREATE OR REPLACE VIEW {contract.published_name} "
            f"TBLPROPERTIES ('liftlake.version' = '{version}', 'liftlake.provenance' = '{quoted}') "
            f"AS SELECT * FROM {contract.audit_name} VERSION AS OF {version}"
        )

    def publication(self, contract: Contract) -> Publication | None:
        """The published state of a table, None when nothing was published yet."""
        try:
            rows = self.spark.sql(f"SHOW TBLPROPERTIES {contract.published_name}").collect()
        except AnalysisException as error:
            if error.getCondition() != NOT_FOUND:
                raise
            return None
        properties = {row["key"]: row["value"] for row in rows}
        if contract.layer == "bronze" or "liftlake.version" not in properties:
            return None
        provenance = Provenance.from_json(properties["liftlake.provenance"])
        return Publication(int(properties["liftlake.version"]), provenance)

    def publications(self, contracts: Sequence[Contract]) -> dict[tuple[str, str], Publication]:
        """The published state of every table that has one."""
        found = {contract.key: self.publication(contract) for contract in contracts}
        return {key: state for key, state in found.items() if state is not None}

    # ---------------------------------------------------------------- reading
    def exists(self, name: str) -> bool:
        """True when a table or view of that name is in the catalog."""
        return bool(self.spark.catalog.tableExists(name))

    def existing(self, names: Sequence[str]) -> set[str]:
        """Those of these names that `exists` says are there: one look at each schema."""
        found: set[str] = set()
        for schema in sorted({name.partition(".")[0] for name in names}):
            if self.spark.catalog.databaseExists(schema):
                found |= {
                    f"{schema}.{row['tableName']}" for row in self.spark.sql(f"SHOW TABLES IN {schema}").collect()
                }
        return found & set(names)

    def relation(self, name: str) -> DataFrame:
        """A published table as a Spark relation.

        Raises:
            LookupError: nothing was published under that name yet.
        """
        try:
            frame = self.spark.table(name)
            frame.schema  # noqa: B018  the name is resolved by asking for the schema
        except AnalysisException as error:
            raise LookupError(NOT_PUBLISHED.format(name=name)) from error
        return frame

    def read(self, name: str, columns: Sequence[str] = ("*",), where: str = "TRUE") -> pl.DataFrame:
        """Rows of a published table as polars; times are UTC, money is exact.

        Raises:
            LookupError: nothing was published under that name yet.
        """
        try:
            return self.query(f"SELECT {', '.join(columns)} FROM {name} WHERE {where}")
        except AnalysisException as error:
            if error.getCondition() != NOT_FOUND:
                raise
            raise LookupError(NOT_PUBLISHED.format(name=name)) from error

    def added(self, table: str, version: int, columns: Sequence[str]) -> pl.DataFrame | None:
        """The rows that a version of a table added, from its files; None where `added_files` knows none.

        A query for the same rows first reads the table's log, which takes Spark longer than the rows.
        """
        paths = added_files(self.files, table, version)
        if not paths:
            return None
        return pl.concat([self._rows_of(path, columns) for path in paths])

    def _rows_of(self, path: str, columns: Sequence[str]) -> pl.DataFrame:
        with self.files.open_input_file(path) as stream:
            frame = pl.from_arrow(pq.ParquetFile(stream).read(columns=list(columns)))
        assert isinstance(frame, pl.DataFrame)
        return frame.select(columns)

    def query(self, sql: str) -> pl.DataFrame:
        """The result of a SQL statement as polars."""
        frame = pl.from_arrow(self.spark.sql(sql).toArrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

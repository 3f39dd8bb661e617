"""The records of a delivery, each with its canonical columns, whether it is good, and whether it is a repeat.

Belongs here: judging records on the server, and finding repeats there; nothing is counted or committed. Does not belong
here: what the columns and rules are (projection, record_rules), what the delivery itself tells of repeats (repeats),
what becomes of the records (ingest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl
import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql.connect.functions import broadcast, expr
from pyspark.sql.types import BooleanType, LongType, StringType, StructField, StructType

from checks.contracts.plan import ValidationPlan
from resources.lake import Lake
from resources.mapping import SourceMapping
from resources.projection import flag_column, kind_columns, lenient, record_projection
from resources.receipts import Receipt
from resources.record_rules import good_row, record_rules, rule_column, with_record_rules
from resources.records import IS_BASE64, LINE, PROBLEM, RAW
from resources.repeats import NO_LINES
from resources.source_bytes import SourceFileError
from resources.staging import Relation

PAYLOAD, ENCODING, PAYLOAD_HASH = "_payload", "_payload_encoding", "_payload_hash"
IS_REPEAT, IS_GOOD = "_is_repeat", "_is_good"
HIDDEN_FIELDS = (
    StructField(LINE, LongType()), StructField(RAW, StringType()), StructField(IS_BASE64, BooleanType()),
    StructField(PROBLEM, StringType()),
)  # fmt: skip
# The keys of so many fit into the memory of every worker, and they themselves into the server's.
FEW_RECORDS = 250_000


class Splitter:
    """Judges the records of one source, against what one lake holds already."""

    def __init__(self, lake: Lake, mapping: SourceMapping) -> None:
        self._lake = lake
        self._mapping = mapping

    def split(
        self, batch: Receipt, relation: Relation, plan: ValidationPlan, earlier: Iterable[Receipt]
    ) -> tuple[DataFrame, ValidationPlan]:
        """The records, told apart from repeats, and the rules that tell good ones from broken ones.

        The records are without their payloads, which few uses need: see `with_payloads`.
        """
        rules = record_rules(self._mapping, batch.table_name, relation.columns)
        mapped = self._mapped(batch, relation, rules)
        row_plan = with_record_rules(plan.restricted_to(frozenset(mapped.columns)), rules, is_text=relation.is_text)
        judged = mapped.selectExpr("*", f"({good_row(row_plan)}) AS {IS_GOOD}")
        repeats = self._repeats(batch, judged, relation, earlier)
        return self._marked(judged, repeats).drop(PAYLOAD, PAYLOAD_HASH), row_plan

    def with_payloads(self, records: DataFrame, relation: Relation, count: int) -> DataFrame:
        """So many of the records, each with what was delivered of it, read once more."""
        few = broadcast(records) if count <= FEW_RECORDS else records
        fields = RAW if relation.is_text else _fields(relation)
        encoding = f"IF({IS_BASE64}, 'base64', 'text')" if relation.is_text else "'json'"
        told = [f"{_line(relation)} AS {LINE}", f"{fields} AS {PAYLOAD}", f"{encoding} AS {ENCODING}"]
        found = self._records(relation).selectExpr(*told).join(few, LINE)
        # Only now, of these records, fields become a text.
        return found if relation.is_text else found.withColumn(PAYLOAD, expr(f"to_json({PAYLOAD})"))

    def _records(self, relation: Relation) -> DataFrame:
        """The records as they were staged. Of a text all columns are known: the server need not look into the file."""
        read = self._lake.spark.read
        if relation.is_text:
            fields = [StructField(name, StringType()) for name in relation.columns]
            read = read.schema(StructType([*fields, *HIDDEN_FIELDS]))
        return read.parquet(relation.path)

    def _mapped(self, batch: Receipt, relation: Relation, rules: Mapping[str, str]) -> DataFrame:
        """Source records with canonical columns, hidden ones for kinds and record rules, and their payload."""
        table = self._mapping.tables[batch.table_name]
        raw = self._records(relation)
        names = relation.columns
        stamp = [f"'{self._mapping.source}' AS source", f"'{batch.batch_id}' AS batch_id"]
        payload = RAW if relation.is_text else f"to_json({_fields(relation)})"
        hidden = [f"{_line(relation)} AS {LINE}", f"{payload} AS {PAYLOAD}", f"xxhash64({payload}) AS {PAYLOAD_HASH}"]
        hidden += [PROBLEM] if relation.is_text else []
        kinds = kind_columns(table.explode) if table.explode else []
        broken = [f"{condition} AS {rule_column(index)}" for index, condition in enumerate(rules.values())]
        flagged = [
            f"COALESCE({lenient(sql)}, FALSE) AS {flag_column(index)}" for index, sql in enumerate(table.flags.values())
        ]
        canonical = record_projection(self._mapping, batch.table_name, names)
        try:
            about = raw.where(lenient(table.where)) if table.where else raw
            mapped = about.selectExpr(*stamp, *canonical, *kinds, *broken, *flagged, *hidden)
            mapped.schema  # noqa: B018  expressions are resolved here, before anything is written
        except AnalysisException as error:
            missing = (error.getMessageParameters() or {}).get("objectName", str(error).splitlines()[0])
            raise SourceFileError(
                f"{batch.file_name} has no column {missing}, which the mapping of {batch.table_name} uses. "
                f"Its columns: {', '.join(names)}. Mend the mapping, or have the file delivered again.",
                "file.columns",
            ) from error
        return mapped

    def _repeats(self, batch: Receipt, judged: DataFrame, relation: Relation, earlier: Iterable[Receipt]) -> pl.Series:
        """Lines of the records whose event the table has, or an earlier one of the delivery that is as good."""
        is_first = not any(item.accepted for item in earlier)
        known = NO_LINES if is_first else self._known(batch, judged, relation)
        return pl.concat([known, relation.repeats.same, self._later(batch, judged, relation)]).unique()

    def _later(self, batch: Receipt, judged: DataFrame, relation: Relation) -> pl.Series:
        """Lines of the good records that come after another of the same event, where bytes do not tell.

        A broken record hides no good one of the same key. The window is over those records that may repeat.
        """
        alike = relation.repeats.alike
        if alike is not None and alike.is_empty():
            return NO_LINES
        asked = judged.filter(IS_GOOD)
        asked = asked if alike is None else asked.join(self._few(alike), expr(f"{LINE} = _told"), "left_semi")
        rules = self._mapping.tables[batch.table_name].duplicates
        key = list(rules.key) if rules.scope == "key" else ["row_hash", PAYLOAD]
        order = ", ".join(dict.fromkeys([*key, "known_at", "row_hash", PAYLOAD_HASH, LINE]))
        window = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(key)} ORDER BY {order})"
        return _lines(asked.selectExpr(LINE, f"{window} AS rank").filter("rank > 1"))

    def _known(self, batch: Receipt, judged: DataFrame, relation: Relation) -> pl.Series:
        """Lines of the records whose event an earlier batch brought already.

        Of the table only what this batch may repeat is kept: keys of a small batch are sent to its rows.
        """
        if relation.known is not None:
            return relation.known
        rules = self._mapping.tables[batch.table_name]
        key = list(rules.duplicates.key) or ["row_hash", *rules.columns]
        same = expr(" AND ".join(f"{column} <=> _earlier_{column}" for column in key))
        asked = broadcast(judged.select(*key)) if relation.records <= FEW_RECORDS else judged.select(*key)
        table = self._lake.spark.table(f"bronze.{batch.table_name}")
        held = table.selectExpr(*(f"{column} AS _earlier_{column}" for column in key))
        repeated = held.join(asked, same, "left_semi").distinct()
        return _lines(judged.join(repeated, same, "left_semi"))

    def _marked(self, judged: DataFrame, repeats: pl.Series) -> DataFrame:
        if repeats.is_empty():
            return judged.selectExpr("*", f"FALSE AS {IS_REPEAT}")
        joined = judged.alias("judged").join(self._few(repeats), expr(f"{LINE} = _told"), "left")
        return joined.selectExpr("judged.*", f"_told IS NOT NULL AS {IS_REPEAT}")

    def _few(self, lines: pl.Series) -> DataFrame:
        told = self._lake.spark.createDataFrame(pa.table({"_told": lines.to_arrow()}))
        return broadcast(told) if lines.len() <= FEW_RECORDS else told


def _lines(records: DataFrame) -> pl.Series:
    found = pl.from_arrow(records.select(LINE).toArrow())
    assert isinstance(found, pl.DataFrame)
    return found[LINE].cast(pl.Int64)


def _line(relation: Relation) -> str:
    """SQL of a record's line, counted from 1."""
    return LINE if relation.is_text else "_metadata.row_index + 1"


def _fields(relation: Relation) -> str:
    """SQL of a Parquet record as it was delivered."""
    return f"struct({', '.join(f'`{name}`' for name in relation.columns)})"

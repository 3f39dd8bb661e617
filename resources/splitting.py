"""The records of a delivery, each with its canonical columns, whether it is good, and which of its repeats it is.

Belongs here: judging and ranking records on the server; nothing is counted or committed. Does not belong here: what
the columns and rules are (projection, record_rules), what becomes of the records (ingest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql.connect.functions import broadcast, expr

from checks.contracts.plan import ValidationPlan
from resources.lake import Lake
from resources.mapping import SourceMapping
from resources.projection import flag_column, kind_columns, lenient, record_projection
from resources.receipts import Receipt
from resources.record_rules import good_row, record_rules, rule_column, with_record_rules
from resources.records import IS_BASE64, LINE, PROBLEM, RAW
from resources.source_bytes import SourceFileError
from resources.staging import Relation

PAYLOAD, ENCODING, PAYLOAD_HASH = "_payload", "_payload_encoding", "_payload_hash"
KNOWN, RANK, IS_GOOD = "_is_known", "_rank", "_is_good"
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
        """The records with their ranks, and the rules that tell good ones from broken ones.

        The records are without their payloads, which few uses need: see `with_payloads`.
        """
        rules = record_rules(self._mapping, batch.table_name, relation.columns)
        mapped = self._mapped(batch, relation, rules)
        row_plan = with_record_rules(plan.restricted_to(frozenset(mapped.columns)), rules, is_text=relation.is_text)
        judged = mapped.selectExpr("*", f"({good_row(row_plan)}) AS {IS_GOOD}")
        ranked = self._ranked(batch, judged, relation, earlier).drop(PAYLOAD, PAYLOAD_HASH)
        # A small batch is judged once and kept by the server; a large one again for every use, which takes no memory.
        return ranked.localCheckpoint() if relation.records <= FEW_RECORDS else ranked, row_plan

    def with_payloads(self, records: DataFrame, relation: Relation, count: int) -> DataFrame:
        """So many of the records, each with what was delivered of it, read once more."""
        few = broadcast(records) if count <= FEW_RECORDS else records
        fields = RAW if relation.is_text else _fields(relation)
        encoding = f"IF({IS_BASE64}, 'base64', 'text')" if relation.is_text else "'json'"
        told = [f"{_line(relation)} AS {LINE}", f"{fields} AS {PAYLOAD}", f"{encoding} AS {ENCODING}"]
        found = self._lake.spark.table(relation.name).selectExpr(*told).join(few, LINE)
        # Only now, of these records, fields become a text.
        return found if relation.is_text else found.withColumn(PAYLOAD, expr(f"to_json({PAYLOAD})"))

    def _mapped(self, batch: Receipt, relation: Relation, rules: Mapping[str, str]) -> DataFrame:
        """Source records with canonical columns, hidden ones for kinds and record rules, and their payload."""
        table = self._mapping.tables[batch.table_name]
        raw = self._lake.spark.table(relation.name)
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

    def _ranked(self, batch: Receipt, records: DataFrame, relation: Relation, earlier: Iterable[Receipt]) -> DataFrame:
        """Adds the rank of each record among those it duplicates: 1 is kept, later ones and known ones are not.

        A broken record hides no good one of the same key. The window over all records is paid only when something may
        repeat.
        """
        is_first = not any(item.accepted for item in earlier)
        records = records.selectExpr("*", f"FALSE AS {KNOWN}") if is_first else self._known(batch, records, relation)
        rules = self._mapping.tables[batch.table_name].duplicates
        if not relation.may_repeat:
            return records.selectExpr("*", f"IF({KNOWN}, 2, 1) AS {RANK}")
        key = list(rules.key) if rules.scope == "key" else ["row_hash", PAYLOAD]
        order = ", ".join(dict.fromkeys([*key, "known_at", "row_hash", PAYLOAD_HASH, LINE]))
        window = f"ROW_NUMBER() OVER (PARTITION BY {', '.join([IS_GOOD, *key])} ORDER BY {order})"
        return records.selectExpr("*", f"IF({KNOWN}, 2, {window}) AS {RANK}")

    def _known(self, batch: Receipt, records: DataFrame, relation: Relation) -> DataFrame:
        """Adds whether an earlier batch brought the same event already.

        Of the table only what this batch may repeat goes into the join: keys of a small batch are sent to its rows.
        """
        rules = self._mapping.tables[batch.table_name]
        key = list(rules.duplicates.key) or ["row_hash", *rules.columns]
        same = expr(" AND ".join(f"{column} <=> _earlier_{column}" for column in key))
        if relation.known is not None:
            if relation.known.is_empty():
                return records.selectExpr("*", f"FALSE AS {KNOWN}")
            known = relation.known.rename({column: f"_earlier_{column}" for column in key})
            few = self._lake.spark.createDataFrame(known.to_arrow()).selectExpr("*", "TRUE AS _earlier")
            return self._marked(records, broadcast(few), same)
        asked = broadcast(records.select(*key)) if relation.records <= FEW_RECORDS else records.select(*key)
        table = self._lake.spark.table(f"bronze.{batch.table_name}")
        known = table.selectExpr(*(f"{column} AS _earlier_{column}" for column in key))
        repeated = known.join(asked, same, "left_semi").distinct().selectExpr("*", "TRUE AS _earlier")
        return self._marked(records, repeated, same)

    def _marked(self, records: DataFrame, repeated: DataFrame, same: Column) -> DataFrame:
        joined = records.alias("new").join(repeated, same, "left")
        return joined.selectExpr("new.*", f"COALESCE(_earlier, FALSE) AS {KNOWN}")


def _line(relation: Relation) -> str:
    """SQL of a record's line, counted from 1."""
    return LINE if relation.is_text else "_metadata.row_index + 1"


def _fields(relation: Relation) -> str:
    """SQL of a Parquet record as it was delivered."""
    return f"struct({', '.join(f'`{name}`' for name in relation.columns)})"

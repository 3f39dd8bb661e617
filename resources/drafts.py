"""A draft of a mapping, and of a contract where no canonical table fits, from the guesses about a sample.

Belongs here: choosing the canonical table, writing the two documents, and saying what was assumed. Does not belong
here: looking at the file (samples) or guessing about its columns (guesses).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.contracts.model import Column, Contract
from resources.contract_drafts import contract_document, snake
from resources.guesses import ColumnGuess, key_candidates, words_of_name
from resources.samples import Sample

# What every bronze event table has beside the columns of the business.
OWN_COLUMNS = frozenset({"source", "batch_id", "week_start_date", "event_at", "known_at", "row_hash"})
BOOKS = frozenset({"ingest_ledger", "quarantine", "household_keys"})
ZONE, CURRENCY, FIRST_KNOWN = "UTC", "USD", "2000-01-01T00:00:00Z"
# A canonical table fits when its key tells so many of the sample's records apart.
NEARLY_UNIQUE = 0.9
# What names a line of a receipt where the source numbers none.
LINE_PARTS = ("product_id", "quantity_units", "unit_price", "sales_amount")


@dataclass(frozen=True)
class Draft:
    """Two documents as data, and what they rest on.

    Attributes:
        table: the bronze table; `is_canonical` says that its contract exists and `contract` is None.
        keys: sets of columns, and the share of the sample's records that each tells apart.
        assumed: what nothing in the file says, one sentence each.
    """

    table: str
    is_canonical: bool
    mapping: dict[str, Any]
    contract: dict[str, Any] | None
    keys: Sequence[tuple[tuple[str, ...], float]]
    assumed: tuple[str, ...]


def draft(sample: Sample, columns: Sequence[ColumnGuess], name: str, contracts: Mapping[Any, Contract]) -> Draft:
    """The mapping of source `name`, and the contract of its table unless a canonical one fits."""
    keys = key_candidates(sample, columns)
    chosen = _canonical(sample, columns, contracts)
    time = _time_column(columns)
    assumed = [
        f"times are {ZONE}: set timezone, and the zone in event_at, to that of the stores",
        f"amounts are {CURRENCY}: set currency, and usd_per_currency_unit for another",
        "the business week begins on Monday: set first_weekday",
    ]
    if time is None:
        assumed.append(f"no column is a time: every record was known at {FIRST_KNOWN}; set snapshot_at, or event_at")
    if chosen is not None:
        expressions = _canonical_expressions(chosen, columns, name, assumed)
        key = [item for item in chosen.primary_key if item in expressions]
        share = _uniqueness(sample, chosen.primary_key, _matches(chosen, columns))
        is_key = share == 1
        if not is_key:
            assumed.append(
                f"two records are one when all their columns are equal: {', '.join(key)} tells only {share:.1%} of the "
                "sample apart"
            )
        table, document = chosen.name, None
    else:
        expressions = {snake(item.name): expression_of(item) for item in columns if item.kind != "empty"}
        whole = next((found for found, share in keys if share == 1), ())
        key, is_key = [snake(column) for column in whole], bool(whole)
        table, document = name, contract_document(name, columns, key, has_time=time is not None)
    rules: dict[str, Any] = {"pattern": pattern_of(sample.path), "format": sample.format}
    text = _text(sample)
    rules |= {"text": text} if text else {}
    rules |= {"event_at": _event(time)} if time is not None else {}
    rules |= {"duplicates": {"scope": "key", "key": key} if is_key else {"scope": "row"}, "columns": expressions}
    mapping = {
        "source": name, "title": name.replace("_", " ").capitalize(),
        "notice": f"Drafted from {sample.path.name}: say here where the data come from and what readers must know.",
        "files": {"folder": "."}, "timezone": ZONE, "first_weekday": "monday", "currency": CURRENCY,
        "snapshot_at": FIRST_KNOWN, "tables": {table: rules},
    }  # fmt: skip
    return Draft(table, chosen is not None, mapping, document, keys, tuple(assumed))


def source_name(path: Path) -> str | None:
    """A name from the file's, else from its folder's; digits are dates and parts. None when there is no letter."""
    for text in (path.name.partition(".")[0], path.parent.name):
        words = re.findall(r"[a-z]+", re.sub(r"\bw?\d+\b", " ", text.lower().replace("_", " ").replace("-", " ")))
        if words:
            return "_".join(words)
    return None


def pattern_of(path: Path) -> str:
    """The names of the files to come: every run of digits may differ, `.gz` is found anyway."""
    plain = path.name.removesuffix(".gz")
    stem, dot, suffix = plain.rpartition(".")
    return re.sub(r"[*]([-_.]?[*])*", "*", re.sub(r"\d+", "*", stem)) + dot + suffix


def quoted(name: str) -> str:
    """A column of the file in SQL."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"`{name.replace('`', '``')}`"


def expression_of(column: ColumnGuess, spark_type: str | None = None) -> str:
    """SQL that makes the value of a column of the file, or of the type `spark_type`."""
    name, wanted = quoted(column.name), spark_type or column.spark_type
    if column.kind == "nested":
        return f"to_json({name})"
    if column.kind == "timestamp":
        return f"CAST({_event(column)} AS {wanted})" if wanted != "TIMESTAMP" else _event(column)
    if column.kind == "date" and column.form not in (None, "yyyy-MM-dd"):
        return f"CAST(try_to_timestamp({name}, '{column.form}') AS DATE)"
    if column.kind == "number" and column.form == "thousands":
        name = f"REPLACE({name}, ',', '')"
    elif column.kind == "number" and column.form == "comma":
        name = f"REPLACE(REPLACE({name}, '.', ''), ',', '.')"
    elif column.kind == "text" and column.notes and wanted == "STRING":
        return f"regexp_replace({name}, '[.]0$', '')"
    is_text = column.kind == "text" and wanted == "STRING"
    return name if is_text else f"CAST({name} AS {wanted})"


def _event(column: ColumnGuess) -> str:
    """SQL of the instant in UTC of a time or date column."""
    name = quoted(column.name)
    if column.form == "zoned":
        return f"CAST({name} AS TIMESTAMP)"
    if column.form is not None and column.form.startswith("epoch/"):
        function = "timestamp_seconds" if column.form == "epoch/1" else "timestamp_millis"
        return f"{function}(CAST({name} AS BIGINT))"
    read = f"CAST({name} AS TIMESTAMP)" if column.form is None else f"try_to_timestamp({name}, '{column.form}')"
    return f"to_utc_timestamp({read}, '{ZONE}')"


def _time_column(columns: Iterable[ColumnGuess]) -> ColumnGuess | None:
    """The first instant, else the first date."""
    times = [item for kind in ("timestamp", "date") for item in columns if item.kind == kind]
    return next(iter(times), None)


def _text(sample: Sample) -> dict[str, Any]:
    """What differs from the defaults of a text file."""
    if sample.format == "parquet":
        return {}
    given = sample.text.model_dump(exclude_defaults=True)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


# ------------------------------------------------------------- canonical tables
def _matches(contract: Contract, columns: Iterable[ColumnGuess]) -> dict[str, list[ColumnGuess]]:
    """Columns of a canonical table to the column of the file for each; what names a line may be several together."""
    found: dict[str, list[ColumnGuess]] = {}
    for column in contract.columns:
        if column.name in OWN_COLUMNS:
            continue
        plain = re.sub("_(usd|gbp|eur)$", "", column.name)
        fitting = [
            item for item in columns if item.meaning == plain or words_of_name(item.name) == words_of_name(plain)
        ]
        if fitting:
            found[column.name] = fitting[:1]
    line = [item for name in LINE_PARTS for item in columns if item.meaning == name]
    if "line_id" in contract.column_names and "line_id" not in found and line:
        found["line_id"] = line
    return found


def _canonical(sample: Sample, columns: Sequence[ColumnGuess], contracts: Mapping[Any, Contract]) -> Contract | None:
    """The bronze table with the most columns in the file, whose key the file has and which tells its records apart."""
    fitting: list[tuple[int, Contract]] = []
    for contract in contracts.values():
        if contract.layer != "bronze" or contract.name in BOOKS or not contract.primary_key:
            continue
        matched = _matches(contract, columns)
        dated = [column.name for column in contract.columns if column.type == "DATE" and not column.is_nullable]
        is_whole = {*contract.primary_key, *dated} - OWN_COLUMNS <= {*matched}
        is_measured = contract.name != "pos_lines" or _amount(columns) is not None
        is_timed = "week_start_date" not in contract.column_names or _time_column(columns) is not None
        if (
            is_whole
            and is_measured
            and is_timed
            and _uniqueness(sample, contract.primary_key, matched) >= NEARLY_UNIQUE
        ):
            fitting.append((len(matched), contract))
    return max(fitting, key=lambda item: (item[0], item[1].name), default=(0, None))[1]


def _uniqueness(sample: Sample, key: Sequence[str], matched: Mapping[str, list[ColumnGuess]]) -> float:
    """The share of the sample's records that the columns for a key tell apart."""
    names = sorted({part.name for item in key if item in matched for part in matched[item]})
    return sample.rows.select(names).n_unique() / sample.rows.height if names else 0.0


def _amount(columns: Iterable[ColumnGuess]) -> str | None:
    """SQL of what a line costs in US dollars: its own column, else quantity times price."""
    by_meaning = {item.meaning: item for item in columns if item.meaning}
    if "sales_amount" in by_meaning:
        value = expression_of(by_meaning["sales_amount"], "DECIMAL(18,4)")
    elif {"unit_price", "quantity_units"} <= {*by_meaning}:
        quantity = expression_of(by_meaning["quantity_units"], "DECIMAL(10,2)")
        value = f"{quantity} * {expression_of(by_meaning['unit_price'], 'DECIMAL(10,4)')}"
    else:
        return None
    return f"CAST({value} * {{usd}} AS DECIMAL(18,4))"


def _canonical_expressions(
    contract: Contract, columns: Sequence[ColumnGuess], name: str, assumed: list[str]
) -> dict[str, str]:
    matched = _matches(contract, columns)
    amount = _amount(columns)
    found: dict[str, str] = {}
    for column in contract.columns:
        if column.name in OWN_COLUMNS:
            continue
        parts = matched.get(column.name, [])
        if amount is not None and column.name.startswith("sales_amount"):
            found[column.name] = amount
            if not parts:
                assumed.append(f"{column.name} is quantity times price")
        elif column.name == "line_id" and len(parts) > 1:
            found[column.name] = f"concat_ws('/', {', '.join(quoted(part.name) for part in parts)})"
            assumed.append(f"no column numbers the lines of a receipt: {column.name} is {found[column.name]}")
        elif parts:
            found[column.name] = expression_of(parts[0], column.type)
            if parts[0].nulls and not column.is_nullable:
                found[column.name] = f"COALESCE({found[column.name]}, 'unknown')"
                nulls = f"{parts[0].nulls:,} empty values of {parts[0].name}"
                assumed.append(f"{nulls} are 'unknown' in {column.name}, which must not be empty")
        else:
            found[column.name] = _absent(column, found, name)
            assumed.append(f"no column gives {column.name}: it is {found[column.name]}")
    _returns(found, columns, assumed)
    return found


def _returns(found: dict[str, str], columns: Iterable[ColumnGuess], assumed: list[str]) -> None:
    """Lines with a quantity below zero are returns: their amounts count as positive, their kind says what they are."""
    quantity = next((item for item in columns if item.meaning == "quantity_units"), None)
    if quantity is None or not quantity.negatives or "line_kind" not in found:
        return
    found["line_kind"] = f"IF({found['quantity_units']} < 0, 'return', 'sale')"
    for name in ("quantity_units", "sales_amount_usd"):
        found[name] = f"ABS({found[name]})"
    assumed.append(f"{quantity.negatives:,} lines of a quantity below zero are returns")


def _absent(column: Column, found: Mapping[str, str], name: str) -> str:
    """SQL for a canonical column that the file does not have."""
    if column.name == "is_zero_quantity":
        return f"{found['quantity_units']} = 0"
    if column.is_nullable:
        return f"CAST(NULL AS {column.type})"
    if column.type == "STRING":
        return {"store_id": f"'{name}'", "line_kind": "'sale'"}.get(column.name, "'unknown'")
    return "FALSE" if column.type == "BOOLEAN" else f"CAST(0 AS {column.type})"

"""What the columns of a sample are: types and times by their values, meanings by their names.

Belongs here: guessing, and saying what each guess rests on. Does not belong here: reading files (samples), writing
mappings and contracts (drafts). A column is of a type when nearly all its values are; the others are counted, because
an ingest will send them to quarantine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import polars as pl

from resources.samples import Sample

Kind = Literal["empty", "integer", "number", "timestamp", "date", "boolean", "text", "nested"]
# A column is of a type when so many of its values are.
NEARLY_ALL = 0.98
INTEGER, THOUSANDS = r"^[+-]?\d{1,18}$", r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
POINT, COMMA = r"^[+-]?(\d+|\d*\.\d+)([eE][+-]?\d+)?$", r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$"
LEADING_ZERO, LONG, FLOAT_ID = r"^0\d", r"^\d{19,}$", r"^\d+\.0$"
ISO_TIME = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?$"
ZONED_TIME = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:?\d{2})$"
# Forms that are no ISO: how polars and how Spark write them. Of two that both fit, the first is taken and it is said.
TIME_FORMS = (
    ("%Y-%m-%d %H:%M", "yyyy-MM-dd H:mm"), ("%Y/%m/%d %H:%M:%S", "yyyy/M/d H:mm:ss"),
    ("%d.%m.%Y %H:%M:%S", "d.M.yyyy H:mm:ss"), ("%d.%m.%Y %H:%M", "d.M.yyyy H:mm"),
    ("%d/%m/%Y %H:%M:%S", "d/M/yyyy H:mm:ss"), ("%d/%m/%Y %H:%M", "d/M/yyyy H:mm"),
    ("%m/%d/%Y %H:%M:%S", "M/d/yyyy H:mm:ss"), ("%m/%d/%Y %H:%M", "M/d/yyyy H:mm"),
)  # fmt: skip
DATE_FORMS = (
    ("%Y-%m-%d", "yyyy-MM-dd"), ("%d.%m.%Y", "d.M.yyyy"), ("%d/%m/%Y", "d/M/yyyy"), ("%m/%d/%Y", "M/d/yyyy"),
    ("%Y/%m/%d", "yyyy/M/d"), ("%Y%m%d", "yyyyMMdd"),
)  # fmt: skip
EPOCHS = {1: (10**9, 3 * 10**9), 1000: (10**12, 3 * 10**12)}


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


TIME_WORDS = words("time date at day when timestamp datetime datum zeit sold created")
ID_WORDS = words("id code no nr num number key ref upc ean gtin sku")
CURRENCIES = words("usd gbp eur")
# What a column may stand for, by the words of its name; every other word must be of ID_WORDS or CURRENCIES.
MEANINGS: Mapping[str, frozenset[str]] = {
    "transaction_id": words("transaction invoice receipt basket order ticket bon bill trans txn"),
    "line_id": words("line position row seq"),
    "product_id": words("product sku upc ean gtin item article stock prod"),
    "store_id": words("store outlet shop branch"),
    "household_id": words("household customer member card shopper loyalty client cust"),
    "campaign_id": words("campaign"),
    "offer_id": words("offer coupon voucher"),
    "quantity_units": words("quantity qty units unit pieces pcs sold"),
    "sales_amount": words("sales amount value revenue turnover total net line paid"),
    "unit_price": words("unit price each"),
    "retail_discount": words("retail discount disc loyalty"),
    "coupon_discount": words("coupon discount disc"),
    "coupon_match_discount": words("coupon match discount disc"),
}
# Words of which a name must have one, where the others say too little.
NEEDED = {
    "unit_price": words("price"),
    "quantity_units": words("quantity qty units pieces pcs"),
    "retail_discount": words("discount disc"),
    "coupon_discount": words("coupon"),
    "coupon_match_discount": words("match"),
    "sales_amount": words("sales amount value revenue turnover total"),
}
MEASURES = frozenset(name for name in MEANINGS if not name.endswith("_id"))
KEY_COLUMNS, KEY_CANDIDATES = 3, 8


@dataclass(frozen=True)
class ColumnGuess:
    """One column of a sample.

    Attributes:
        kind: what its values are; `form` is Spark's pattern of a time that is not ISO, `zoned` or an epoch's unit.
        nulls, distinct, unread: of the sample; unread values are not of the kind.
        negatives: values below zero of a numeric column.
        meaning: what it stands for in a canonical table, None where its name says nothing.
        notes: what was not sure.
    """

    name: str
    kind: Kind
    spark_type: str
    form: str | None
    nulls: int
    distinct: int
    unread: int
    negatives: int
    meaning: str | None
    notes: tuple[str, ...] = ()


def guess_columns(sample: Sample) -> tuple[ColumnGuess, ...]:
    """One guess per column, in the order of the file."""
    return tuple(_column(sample, name) for name in sample.rows.columns)


def words_of_name(name: str) -> frozenset[str]:
    """The words of a column's name: `CustomerID`, `customer_id` and `Customer Id` are one."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return frozenset(part.lower() for part in parts)


def key_candidates(sample: Sample, columns: Iterable[ColumnGuess]) -> list[tuple[tuple[str, ...], float]]:
    """The smallest sets of at most three columns, and which share of the sample's records each tells apart.

    Those that tell all apart, else the three best. A column with nulls is in none.
    """
    names = [item.name for item in columns if not item.nulls and not item.unread and _may_be_key(item)]
    found: list[tuple[tuple[str, ...], float]] = []
    for size in range(1, KEY_COLUMNS + 1):
        for key in combinations(names[:KEY_CANDIDATES], size):
            share = sample.rows.select(key).n_unique() / sample.rows.height
            # A column that tells nothing more apart is no part of a key.
            if all(less < share for smaller, less in found if set(smaller) <= set(key)):
                found.append((key, share))
    whole = [item for item in found if item[1] == 1]
    return whole or sorted(found, key=lambda item: (-item[1], len(item[0]), item[0]))[:3]


def _may_be_key(column: ColumnGuess) -> bool:
    return column.meaning not in MEASURES and column.kind in ("integer", "text", "timestamp", "date")


def _column(sample: Sample, name: str) -> ColumnGuess:
    series = sample.rows[name]
    values = series.drop_nulls()
    notes: list[str] = []
    if sample.format == "parquet":
        kind, form, spark_type, unread = *_typed(series.dtype), 0
    else:
        kind, form, unread = _read(values, words_of_name(name), sample.text.delimiter, notes)
        spark_type = "DOUBLE" if kind == "number" and _is_fine(values) else _SPARK[kind]
    if kind == "text" and values.len() and values.cast(pl.String).str.contains(FLOAT_ID).mean() == 1:
        notes.append("whole numbers written with .0, which is cut")
    below = 0
    if kind in ("integer", "number"):
        below = int(values.cast(pl.String).str.starts_with("-").sum())
    meaning = _meaning(name, kind)
    distinct = 0 if kind == "nested" else values.n_unique()
    return ColumnGuess(
        name, kind, spark_type, form, series.null_count(), distinct, unread, below, meaning, tuple(notes)
    )


_SPARK: Mapping[Kind, str] = {
    "empty": "STRING", "integer": "BIGINT", "number": "DECIMAL(18,4)", "timestamp": "TIMESTAMP", "date": "DATE",
    "boolean": "BOOLEAN", "text": "STRING", "nested": "STRING",
}  # fmt: skip


def _is_fine(values: pl.Series) -> bool:
    """Whether numbers have more decimals than the lake's DECIMAL keeps, or exponents."""
    return bool(values.str.contains(r"[.,]\d{5,}|[eE]").any())


def _typed(kind: pl.DataType) -> tuple[Kind, str | None, str]:
    """What a typed column is, and its type in the lake."""
    if isinstance(kind, pl.Decimal):
        return "number", None, f"DECIMAL({kind.precision or 38},{kind.scale})"
    if isinstance(kind, pl.Datetime):
        return "timestamp", "zoned" if kind.time_zone else None, "TIMESTAMP"
    small = kind in (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16)
    plain: Sequence[tuple[bool, Kind, str]] = (
        (kind.is_integer(), "integer", "INT" if small else "BIGINT"),
        (kind.is_float(), "number", "DOUBLE"),
        (kind == pl.Date, "date", "DATE"),
        (kind == pl.Boolean, "boolean", "BOOLEAN"),
        (kind.is_nested(), "nested", "STRING"),
    )
    for fits, name, spark_type in plain:
        if fits:
            return name, None, spark_type
    return "text", None, "STRING"


def _read(values: pl.Series, name: frozenset[str], delimiter: str, notes: list[str]) -> tuple[Kind, str | None, int]:
    """(kind, form, values that are not of it) of texts under a column's name."""
    if values.is_empty():
        notes.append("no value at all: its type cannot be told")
        return "empty", None, 0
    plain = values.str.strip_chars()
    if plain.str.to_lowercase().is_in(["true", "false"]).all():
        return "boolean", None, 0
    time = _time(plain, name, notes)
    if time is not None:
        return time
    # Leading zeros, and more digits than a number of the lake keeps, are marks of a name.
    is_name = plain.str.contains(LEADING_ZERO).any() or plain.str.contains(LONG).any() or name & ID_WORDS
    return ("text", None, 0) if is_name else _number(plain, delimiter, notes)


def _number(plain: pl.Series, delimiter: str, notes: list[str]) -> tuple[Kind, str | None, int]:
    """The kind, form and unread values of numbers; text where they are none."""
    whole = int(plain.str.contains(INTEGER).sum())
    if whole >= NEARLY_ALL * len(plain):
        return "integer", None, len(plain) - whole
    forms = {"point": POINT, "comma": COMMA, "thousands": THOUSANDS}
    fits = {form: int(plain.str.contains(pattern).sum()) for form, pattern in forms.items()}
    # A comma before exactly three digits may be either; a file that is split at semicolons keeps commas for decimals.
    order = ("point", "comma", "thousands") if delimiter == ";" else ("point", "thousands", "comma")
    form = max(order, key=lambda item: (fits[item], -order.index(item)))
    if fits[form] < NEARLY_ALL * len(plain):
        return "text", None, 0
    if fits["comma"] == fits["thousands"] and form != "point":
        notes.append(f"the comma may also be the other way: taken as {form}")
    return "number", None if form == "point" else form, len(plain) - fits[form]


def _time(plain: pl.Series, name: frozenset[str], notes: list[str]) -> tuple[Kind, str | None, int] | None:
    """The kind, form and unread values of times; None when the values are none."""
    for form, pattern in ((None, ISO_TIME), ("zoned", ZONED_TIME)):
        fits = int(plain.str.contains(pattern).sum())
        if fits >= NEARLY_ALL * len(plain):
            return "timestamp", form, len(plain) - fits
    named = bool(name & TIME_WORDS)
    if named and plain.str.contains(INTEGER).all():
        numbers = plain.cast(pl.Int64)
        for per_second, (low, high) in EPOCHS.items():
            if numbers.is_between(low, high).all():
                return "timestamp", f"epoch/{per_second}", 0
    kinds: Sequence[tuple[Kind, tuple[tuple[str, str], ...]]] = (("timestamp", TIME_FORMS), ("date", DATE_FORMS))
    for kind, forms in kinds:
        missed = {spark: _missed(plain, pattern, kind) for pattern, spark in forms if named or "-" in pattern}
        missed |= {spark: _missed(plain, pattern, kind) for pattern, spark in forms if {"/", "."} & set(pattern)}
        fitting = [spark for spark, count in missed.items() if count <= (1 - NEARLY_ALL) * len(plain)]
        if fitting:
            best = min(fitting, key=lambda spark: missed[spark])
            also = [spark for spark in fitting if spark != best and missed[spark] == missed[best]]
            notes.extend(f"{best} and {other} both fit: taken as {best}" for other in also)
            return kind, best, missed[best]
    return None


def _missed(plain: pl.Series, pattern: str, kind: Kind) -> int:
    """How many values a form cannot read."""
    wanted = pl.Datetime("us") if kind == "timestamp" else pl.Date()
    return plain.str.strptime(wanted, pattern, strict=False).null_count()


def _meaning(name: str, kind: Kind) -> str | None:
    """What a column stands for, by its name; of two meanings with one word the one that needs more of them."""
    own = words_of_name(name)
    fitting = [
        meaning
        for meaning, known in MEANINGS.items()
        if own & NEEDED.get(meaning, known)
        and own <= known | (CURRENCIES if meaning in MEASURES else ID_WORDS)
        and (meaning not in MEASURES or kind in ("integer", "number"))
    ]
    is_discount = len(fitting) > 1 and fitting[-1].endswith("discount")
    return fitting[-1] if is_discount else next(iter(fitting), None)

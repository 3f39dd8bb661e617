"""The same forty sales as files of many hands.

Belongs here: how the same records are written. Tests ask that they are read alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True)
class Dialect:
    """One way to write a file; `number_form` and `time_form` are what a reader has to find."""

    delimiter: str
    encoding: str
    number_form: str | None
    time_form: str | None
    header: tuple[str, ...]
    number: Callable[[Decimal], str]
    time: str


ENGLISH = ("Receipt No", "SKU", "Store", "Customer ID", "Qty", "Amount", "Sold At", "Note")
GERMAN = ("Bon_Nr", "ArticleCode", "Shop", "Card_No", "Quantity", "Sales", "Datum", "Note")
DIALECTS = {
    "plain": Dialect(",", "utf-8", None, None, ENGLISH, str, "%Y-%m-%d %H:%M:%S"),
    "zoned": Dialect("|", "utf-8", None, "zoned", ENGLISH, str, "%Y-%m-%dT%H:%M:%SZ"),
    "german": Dialect(
        ";", "cp1252", "comma", "d.M.yyyy H:mm:ss", GERMAN, lambda n: f"{n:,}".translate(str.maketrans(",.", ".,")),
        "%d.%m.%Y %H:%M:%S",
    ),
    "american": Dialect(
        "\t", "utf-8", "thousands", "M/d/yyyy H:mm:ss", ENGLISH, lambda n: f"{n:,}", "%m/%d/%Y %H:%M:%S"
    ),
}  # fmt: skip
START = datetime(2017, 1, 2, 9)  # noqa: DTZ001  a till's clock has no zone


def sales_file(folder: Path, dialect: Dialect) -> Path:
    """Forty receipt lines in `folder/sales.csv`, some with a name that needs quotes, some without a card."""
    lines = [dialect.delimiter.join(dialect.header)]
    for number in range(40):
        at = START + timedelta(days=number % 20, minutes=number, seconds=number)
        note = f'"Caf\u00e9 {dialect.delimiter} {number}"' if number % 7 == 0 else "-"
        card = "" if number % 5 == 0 else f"c{number % 9}"
        amount = dialect.number(Decimal(number * 100 + 1234) + Decimal("0.25"))
        quoted = f'"{amount}"' if dialect.delimiter in amount else amount
        fields = [
            f"r{number // 2}",
            f"p{number}",
            "s1",
            card,
            str(number % 4 + 1),
            quoted,
            at.strftime(dialect.time),
            note,
        ]
        lines.append(dialect.delimiter.join(fields))
    path = folder / "sales.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode(dialect.encoding))
    return path

"""Which columns a Spark SQL expression of a contract reads.

Belongs here: a word scan that finds the columns and refuses a word that is neither a column, a keyword nor a
function call. Does not belong here: parsing or running SQL.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|(?<!\w)[A-Za-z_]\w*(?P<call>\s*\()?")
_LOGIC = "AND OR NOT IS NULL TRUE FALSE BETWEEN IN LIKE RLIKE CASE WHEN THEN ELSE END DISTINCT AS CAST"
_TYPES = "DATE TIMESTAMP INTERVAL DAY DAYS WEEK WEEKS HOUR HOURS STRING BIGINT INT DOUBLE DECIMAL BOOLEAN"
_KEYWORDS = frozenset(f"{_LOGIC} {_TYPES}".split())


class UnknownWordError(ValueError):
    """An expression names something that is no column of its table."""


def expression_columns(expression: str, columns: Collection[str]) -> tuple[str, ...]:
    """The columns that an expression reads, each once, in order of appearance.

    Raises UnknownWordError for a word that is neither one of `columns`, a keyword nor a function call.
    """
    found: dict[str, None] = {}
    for match in _TOKEN.finditer(expression):
        word = match.group().split("(")[0].strip()
        if word.startswith("'"):
            continue
        if word in columns:
            found[word] = None
        elif match.group("call") is None and word.upper() not in _KEYWORDS:
            raise UnknownWordError(f"{word!r} is no column of this table")
    return tuple(found)

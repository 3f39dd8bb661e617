"""Which columns an expression reads, and which words it may not hold."""

from __future__ import annotations

import pytest

from checks.contracts.expressions import UnknownWordError, expression_columns

COLUMNS = ("a", "b", "date", "p10")


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ("a >= 0", ("a",)),
        ("b <= a AND a <= p10", ("b", "a", "p10")),
        ("NOT (a IS NULL) or b in (1, 2)", ("a", "b")),
        ("date >= DATE '2017-01-01' AND coalesce(a, 0) > 1E5", ("date", "a")),
        ("rlike(b, '^nobody [a-z]+ it\\'s$')", ("b",)),
        ("1 = 1", ()),
        ("CAST(a AS TIMESTAMP) + INTERVAL 8 DAYS > date", ("a", "date")),
    ],
)
def test_columns(expression: str, columns: tuple[str, ...]) -> None:
    assert expression_columns(expression, COLUMNS) == columns


@pytest.mark.parametrize(("expression", "word"), [("c > 0", "c"), ("A > 0", "A"), ("a > p90", "p90"), ("a = b.x", "x")])
def test_unknown_words(expression: str, word: str) -> None:
    with pytest.raises(UnknownWordError, match=f"^'{word}' is no column"):
        expression_columns(expression, COLUMNS)

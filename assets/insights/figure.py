"""Figures: every number and name that the report shows, each with one key.

Here: the figure, the section that makes figures, and the book that the page reads them from.
Not here: how a figure is computed (one module per section) or how it is laid out (templates).

A key is `table.row.measure`. The table and the measure hold no dot; the row may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

import polars as pl

from assets.insights import formats

FIGURES_SCHEMA = pl.Schema({"section": pl.String, "figure": pl.String, "value": pl.Float64, "text": pl.String})


@dataclass(frozen=True)
class Figure:
    """One shown fact. `value` is null for words; `text` is exactly what the page prints."""

    section: str
    key: str
    value: float | None
    text: str


@dataclass(frozen=True)
class Section:
    """Makes the figures of one section, so that each measure is formatted in one way."""

    name: str

    def count(self, key: str, value: float | None) -> Figure:
        return self._figure(key, value, formats.count(value))

    def estimate(self, key: str, value: float | None) -> Figure:
        return self._figure(key, value, formats.estimate(value))

    def number(self, key: str, value: float | None, digits: int = 2) -> Figure:
        return self._figure(key, value, formats.number(value, digits))

    def percent(self, key: str, value: float | None, digits: int = 1) -> Figure:
        return self._figure(key, value, formats.percent(value, digits))

    def change(self, key: str, value: float | None, digits: int = 1) -> Figure:
        return self._figure(key, value, formats.change(value, digits))

    def usd(self, key: str, value: float | None) -> Figure:
        return self._figure(key, value, formats.usd(value))

    def yes(self, key: str, value: bool | None) -> Figure:
        """A boolean as 1 or 0, `yes` or `no`; null where it cannot be said."""
        if value is None:
            return self._figure(key, None, formats.NOT_KNOWN)
        return self._figure(key, float(value), "yes" if value else "no")

    def day(self, key: str, value: date) -> Figure:
        return self._figure(key, None, formats.day(value))

    def instant(self, key: str, value: datetime) -> Figure:
        return self._figure(key, None, formats.instant(value))

    def words(self, key: str, text: str) -> Figure:
        return self._figure(key, None, text)

    def _figure(self, key: str, value: float | None, text: str) -> Figure:
        return Figure(self.name, key, None if value is None else float(value), text)


class FigureBook:
    """The figures by key, in the order they were made. The page reads its numbers from here and nowhere else."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures: dict[str, Figure] = {}
        self._rows: dict[str, dict[str, None]] = {}
        for figure in figures:
            if figure.key in self._figures:
                raise ValueError(f"figure {figure.key!r} is made twice; a key names one figure")
            table, row, _ = split_key(figure.key)
            self._figures[figure.key] = figure
            self._rows.setdefault(table, {})[row] = None

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> Self:
        """The book of a frame with the columns of `FIGURES_SCHEMA`, one row per figure."""
        return cls(Figure(*row) for row in frame.select(FIGURES_SCHEMA.names()).iter_rows())

    def frame(self) -> pl.DataFrame:
        """Columns `section, figure, value, text`; one row per figure, in the page's order."""
        rows = [(f.section, f.key, f.value, f.text) for f in self._figures.values()]
        return pl.DataFrame(rows, schema=FIGURES_SCHEMA, orient="row")

    def text(self, table: str, row: str, measure: str) -> str:
        return self._figures[f"{table}.{row}.{measure}"].text

    def value(self, table: str, row: str, measure: str) -> float | None:
        return self._figures[f"{table}.{row}.{measure}"].value

    def has(self, table: str, row: str, measure: str) -> bool:
        """Whether there is such a figure and it has a value."""
        figure = self._figures.get(f"{table}.{row}.{measure}")
        return figure is not None and figure.value is not None

    def rows(self, table: str) -> list[str]:
        """The rows of a table in the page's order; empty when the table has none."""
        return list(self._rows.get(table, {}))


def split_key(key: str) -> tuple[str, str, str]:
    """`table.row.measure` in its three parts; ValueError when a part is missing."""
    table, first, rest = key.partition(".")
    row, last, measure = rest.rpartition(".")
    if not (table and first and row and last and measure):
        raise ValueError(f"figure key {key!r} is not of the form table.row.measure")
    return table, row, measure

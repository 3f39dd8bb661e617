"""The report as one self-contained page, and the table of every number on it.

Here: the composition of sections into figures, and of figures into HTML.
Not here: reading tables, writing files, or computing a number (one module per section does).

The page takes its numbers from the frame that `figures` returns, so that page and table cannot disagree. It loads
nothing: styles and charts are inline, and its content policy forbids every request.
"""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import polars as pl
from markupsafe import Markup, escape

from assets.insights import (
    accuracy,
    advice,
    drawings,
    formats,
    headline,
    misses,
    outlook,
    quality,
    revisions,
    sold,
    why,
    worked,
)
from assets.insights.analyst import analyst_name, sheets
from assets.insights.content import ReportContent, method_label
from assets.insights.figure import FigureBook

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
# Empty matches after a sign: the pieces keep the sign, and joined without the breaks they are the name again.
_BREAKS = re.compile(r"(?<=[/._])")


def _soft(name: str) -> Markup:
    """A long name may break after a slash, a dot or an underscore, so that a table fits a phone."""
    return Markup("<wbr>").join(escape(part) for part in _BREAKS.split(name))


_TEMPLATES.filters["soft"] = _soft


def figures(content: ReportContent) -> pl.DataFrame:
    """Every number and name on the page; columns `section, figure, value, text`.

    One row per figure; `figure` is unique. `value` is null for words and for what is not known, `text` is what the
    page prints. Fractions stay fractions in `value` (0.123) and are percentages in `text` (12.3%).
    """
    made = [
        *headline.about(content),
        *sold.figures(content),
        *outlook.figures(content),
        *why.figures(content),
        *worked.figures(content),
        *advice.figures(content),
        *revisions.figures(content),
        *misses.figures(content),
        *accuracy.figures(content),
        *quality.figures(content),
    ]
    return FigureBook([*headline.sentences(FigureBook(made)), *made]).frame()


def render(content: ReportContent) -> str:
    """The page as HTML. Equal content gives equal bytes; it loads nothing, and links to its analyst's page alone."""
    book = FigureBook.from_frame(figures(content))
    return _TEMPLATES.get_template("report.html.j2").render(
        analyst=analyst_name(content.issue_week),
        f=book.text,
        value=book.value,
        has=book.has,
        rows=book.rows,
        book=book,
        drawings=drawings,
        words=formats.words,
        method_label=method_label,
        product_groups=content.scope.product_groups,
        source_limits=content.source_limits,
        method=content.method,
        has_champion=content.champion is not None,
    )


def render_analyst(content: ReportContent, curves: pl.DataFrame) -> str:
    """The page behind the report as HTML; it loads nothing either. Arguments: see `analyst.sheets`."""
    issue = content.issue_week
    return _TEMPLATES.get_template("analyst.html.j2").render(
        issue=issue, report=f"report-{issue}.html", sheets=sheets(content, curves)
    )

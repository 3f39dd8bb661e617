"""The first lines of the page: plain sentences made from figures that stand further down.

Here: sentences, and the facts about the lake, the source and the model that frame them.
Not here: any number of its own; a sentence quotes the text of a figure.

Tables: `about` (lake, source, scope, issue, model), `sentence` (ahead, range, revision, outcome, accuracy, data).
"""

from __future__ import annotations

from collections.abc import Iterator

from assets.insights import formats
from assets.insights.content import MEASURES, ReportContent, method_label
from assets.insights.figure import Figure, FigureBook, Section

ABOUT = Section("about")
HEADLINE = Section("headline")


def about(content: ReportContent) -> Iterator[Figure]:
    """Who speaks, about what, on which data and model."""
    yield ABOUT.words("about.lake.name", content.lake_name)
    yield ABOUT.instant("about.lake.as_of", content.as_of)
    yield ABOUT.words("about.source.name", content.source_name)
    yield ABOUT.words("about.source.notice", content.source_notice)
    yield ABOUT.count("about.scope.product_groups", len(content.scope.product_groups))
    yield ABOUT.count("about.scope.stores", content.scope.store_count)
    yield ABOUT.count("about.scope.series", content.scope.series_count)
    yield ABOUT.day("about.issue.week_start_date", content.issued["issue_week_start_date"][0])
    yield ABOUT.words("about.issue.measure", MEASURES.get(content.measure, content.measure))
    yield ABOUT.words("about.issue.data_version", str(content.issued["data_version"][0]))
    yield ABOUT.words("about.model.method", method_label(content.method))
    if content.champion is not None:
        yield ABOUT.words("about.model.version", content.champion.version)
        yield ABOUT.instant("about.model.since", content.champion.since)
    for number, reason in enumerate(content.champion.reasons if content.champion else (), start=1):
        yield ABOUT.words(f"reason.{number}.text", reason)


def sentences(book: FigureBook) -> Iterator[Figure]:
    """The headline; each sentence is left out when its figures are not known."""
    yield HEADLINE.words("sentence.ahead.text", _ahead(book))
    yield HEADLINE.words("sentence.range.text", _range(book))
    if book.has("revision_total", "all", "change"):
        yield HEADLINE.words("sentence.revision.text", _revision(book))
    if book.has("ahead_total", "window", "actual"):
        yield HEADLINE.words("sentence.outcome.text", _outcome(book))
    yield HEADLINE.words("sentence.accuracy.text", _accuracy(book))
    yield HEADLINE.words("sentence.data.text", _data(book))


def _window(book: FigureBook) -> str:
    return formats.words(int(book.value("ahead_total", "window", "weeks") or 0))


def _ahead(book: FigureBook) -> str:
    total = _Row(book, "ahead_total", "window")
    measure, groups = book.text("about", "issue", "measure"), book.text("about", "scope", "product_groups")
    text = f"From {total['period']} we expect about {total['expected']} {measure} in {groups} product groups"
    change = total.value("change")
    if change is not None:
        last = book.text("sold_total", "all", "recent_measure")
        text += f": {formats.direction(change)} on the last {_window(book)} weeks ({last})"
    year = total.value("year_change")
    if year is not None:
        text += f", and {formats.direction(year)} on the same weeks a year ago ({total['year_ago']})"
    return f"{text}."


def _range(book: FigureBook) -> str:
    total = _Row(book, "ahead_total", "window")
    issues = int(book.value("scaling", "all", "issues") or 0)
    if not book.has("ahead_total", "window", "low"):
        return (
            f"No range is given for this total: the back-test holds {formats.plural(issues, 'issue')}, too few to "
            "show how far such totals miss."
        )
    no_claim = ""
    if total.value("is_clear_change") == 0:
        no_claim = f" The last {_window(book)} weeks lie inside it too, so this is no proof of a rise or a fall."
    return (
        f"A range of {total['low']} to {total['high']} covers what {formats.words(issues)} test issues missed by "
        f"({total['lowest_test']} to {total['highest_test']}); it should hold at least {total['range_chance']} of the "
        f"time, if the coming weeks are like the tested ones.{no_claim}"
    )


def _revision(book: FigureBook) -> str:
    total = _Row(book, "revision_total", "all")
    change = total.value("change") or 0.0
    text = f"Since the issue before, the estimate for {total['period']} is {formats.direction(change)}"
    if formats.direction(change) != "unchanged":
        text += f", from {total['before']} to {total['now']}"
    is_clear = total.value("is_clear")
    if is_clear is None:
        return f"{text}."
    return f"{text}: {'more than' if is_clear else 'less than'} what such totals missed by in tests."


def _outcome(book: FigureBook) -> str:
    total = _Row(book, "ahead_total", "window")
    over = total.value("actual_over_expected") or 0.0
    side = formats.percent(abs(over))
    text = f"What then happened, unknown at the time of issue: {total['actual']}, {side} "
    text += "above the estimate" if over >= 0 else "below the estimate"
    inside = total.value("is_inside")
    if inside is None:
        return f"{text}."
    return f"{text} and {'inside' if inside else 'outside'} the range."


def _accuracy(book: FigureBook) -> str:
    if not book.rows("value_added"):
        return "The back-test holds no simple rule to compare the forecast with."
    rule = method_label(book.text("value_added", "all", "rule")).lower()
    method = next(iter(book.rows("backtest")))
    return (
        f"For one product group in one store and week the forecast missed by {book.text('backtest', method, 'wape')} "
        f"of the volume in back-tests; the best simple rule ({rule}) missed by "
        f"{book.text('value_added', 'all', 'rule_wape')}. The forecast's error is "
        f"{book.text('value_added', 'all', 'verdict')}."
    )


def _data(book: FigureBook) -> str:
    rules, failed, warned = (int(book.value("check_total", "all", name) or 0) for name in ("rules", "failed", "warned"))
    tables = int(book.value("fresh_total", "all", "tables") or 0)
    late = int(book.value("fresh_total", "all", "late") or 0)
    if rules == 0:
        checked = "No check has reported, so the data are not vouched for"
    elif failed:
        checked = f"{formats.plural(failed, 'of the ' + str(rules) + ' data rule')} failed"
    elif warned:
        checked = f"Of {formats.plural(rules, 'data rule')} none failed and {warned:,} warned"
    else:
        checked = f"All {rules:,} data rules hold"
    if tables == 0:
        return f"{checked}; no table has reported its freshness."
    if late:
        return f"{checked}; {late:,} of {formats.plural(tables, 'table')} {'is' if late == 1 else 'are'} late."
    return f"{checked}; all {tables:,} tables are fresh."


class _Row:
    """One row of the book, for sentences that quote several of its figures."""

    def __init__(self, book: FigureBook, table: str, row: str) -> None:
        self._book, self._table, self._row = book, table, row

    def __getitem__(self, measure: str) -> str:
        return self._book.text(self._table, self._row, measure)

    def value(self, measure: str) -> float | None:
        return self._book.value(self._table, self._row, measure)

"""Figures, their keys and the book."""

from __future__ import annotations

import pytest

from assets.insights.figure import Figure, FigureBook, Section, split_key


def test_a_row_may_hold_dots_and_any_sign() -> None:
    assert split_key("sold_group.DR. A.B@C|<i>.change") == ("sold_group", "DR. A.B@C|<i>", "change")


@pytest.mark.parametrize("key", ["", "table", "table.measure", ".row.measure", "table.row.", "table..measure"])
def test_a_key_has_three_parts(key: str) -> None:
    with pytest.raises(ValueError, match="of the form table"):
        split_key(key)


def test_a_key_names_one_figure() -> None:
    twice = Figure("s", "t.r.m", 1.0, "1")
    with pytest.raises(ValueError, match="made twice"):
        FigureBook([twice, twice])


def test_the_book_survives_its_frame() -> None:
    section = Section("s")
    figures = [section.count("t.b.m", 2), section.words("t.a.m", "x"), section.percent("t.b.n", None)]
    book = FigureBook.from_frame(FigureBook(figures).frame())
    assert book.rows("t") == ["b", "a"]
    assert book.rows("other") == []
    assert (book.text("t", "b", "m"), book.value("t", "b", "m")) == ("2", 2.0)
    assert [book.has("t", "b", measure) for measure in ("m", "n", "o")] == [True, False, False]
    with pytest.raises(KeyError):
        book.text("t", "b", "o")


def test_booleans_and_digits() -> None:
    section = Section("s")
    assert [section.yes("t.r.m", value).text for value in (True, False, None)] == ["yes", "no", "\N{EN DASH}"]
    assert section.number("t.r.m", 0.2874, 3).text == "0.287"

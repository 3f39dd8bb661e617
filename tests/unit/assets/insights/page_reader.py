"""Reads a page back: its tables by caption, its visible text, and whether every tag is closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}
HIDDEN = {"style", "title", "svg"}


@dataclass
class Table:
    """Rows of cell texts; the header row is the first."""

    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)

    def row(self, name: str) -> dict[str, str]:
        """The row that starts with `name`, by its column heads; a head that occurs again gets a number."""
        heads: list[str] = []
        for head in self.rows[0]:
            heads.append(head if head not in heads else f"{head} {heads.count(head) + 1}")
        return dict(zip(heads, next(row for row in self.rows[1:] if row[0] == name), strict=True))


class PageReader(HTMLParser):
    """Raises ValueError at the first tag that does not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._cell: list[str] | None = None
        self.feed(page)
        self.close()
        if self._open:
            raise ValueError(f"never closed: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append(Table())
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in {"td", "th", "caption"}:
            self._cell = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise ValueError(f"</{tag}> closes nothing")
        if tag in {"td", "th", "caption"} and self._cell is not None:
            text = " ".join("".join(self._cell).split())
            if tag == "caption":
                self.tables[-1].caption = text
            else:
                self.tables[-1].rows[-1].append(text)
            self._cell = None

    def handle_data(self, data: str) -> None:
        if HIDDEN.intersection(self._open) or "sup" in self._open:
            return
        if self._cell is not None:
            self._cell.append(data)
        if data.strip():
            self.texts.append(" ".join(data.split()))

    def table(self, start: str) -> Table:
        """The first table whose caption starts so."""
        return next(table for table in self.tables if table.caption.startswith(start))

"""SVG elements as safe text: every attribute and text is escaped, every coordinate has one decimal.

Here: elements, the linear scale and round ticks.
Not here: any chart, any colour (the style sheet colours the classes, so that light, dark and print share one drawing).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]


def coordinate(value: float) -> str:
    """One decimal is finer than a pixel and keeps the page small; `12.0` -> `12`."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def element(name: str, children: Iterable[str] = (), **attributes: float | str) -> Markup:
    """One element. `class_` is the class; an underscore in a name is a hyphen; numbers become coordinates."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{coordinate(v) if isinstance(v, int | float) else escape(v)}"'
        for key, v in attributes.items()
    ]
    inner = "".join(escape(child) for child in children)
    # Everything in here is escaped above; children that are Markup already pass unchanged.
    return Markup(f"<{name}{''.join(parts)}>{inner}</{name}>")  # noqa: S704


def text(x: float, y: float, content: str, class_: str = "tick") -> Markup:
    return element("text", [content], x=x, y=y, class_=class_)


def line(start: Point, end: Point, class_: str) -> Markup:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def polyline(points: Sequence[Point], class_: str) -> Markup:
    return element("polyline", points=_points(points), class_=class_)


def polygon(points: Sequence[Point], class_: str) -> Markup:
    return element("polygon", points=_points(points), class_=class_)


def rectangle(corner: Point, width: float, height: float, class_: str, title: str = "") -> Markup:
    children = [element("title", [title])] if title else []
    return element("rect", children, x=corner[0], y=corner[1], width=width, height=height, class_=class_)


def dot(center: Point, radius: float, class_: str, title: str = "") -> Markup:
    children = [element("title", [title])] if title else []
    return element("circle", children, cx=center[0], cy=center[1], r=radius, class_=class_)


def drawing(width: int, height: int, label: str, children: Iterable[str], class_: str = "") -> Markup:
    """The outer element; `label` is what a screen reader says instead of the picture."""
    box = f"0 0 {width} {height}"
    return element(
        "svg", children, viewBox=box, width=width, height=height, role="img", aria_label=label, class_=class_
    )


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)


@dataclass(frozen=True)
class Scale:
    """A linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(highest: float, wanted: int = 4) -> list[float]:
    """Round steps of 1, 2 or 5 from 0 to at least `highest`, about `wanted` of them."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999999)
    return [index * step for index in range(math.ceil(highest / step - 1e-9) + 1)]

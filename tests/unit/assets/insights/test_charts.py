"""The charts: well-formed, inside their box, safe, and true to the numbers."""

from __future__ import annotations

import re
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest

from assets.insights import charts, svg
from assets.insights.charts import Bars, WeekChart

FIRST = date(2017, 9, 4)
HOSTILE = "<script>\"&'</svg>"


def _weeks(values: list[float], start: int = 0) -> list[tuple[date, float]]:
    return [(FIRST + timedelta(weeks=start + place), value) for place, value in enumerate(values)]


def _chart() -> WeekChart:
    forecast = _weeks([30.0, 31.0], 4)
    band = [(day, value - 9, value + 22.5) for day, value in forecast]
    return WeekChart(HOSTILE, "said", _weeks([10, 40, 20, 25]), forecast, band, _weeks([33.0], 4))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize(("width", "height"), [(920, 300), (360, 300), (292, 150)])
def test_a_week_chart_stays_inside_its_box(width: int, height: int) -> None:
    drawing = ET.fromstring(str(charts.week_chart(_chart(), width, height)))
    assert drawing.get("viewBox") == f"0 0 {width} {height}"
    for shape in drawing.iter():
        for attribute, most in (
            ("x", width),
            ("cx", width),
            ("x1", width),
            ("x2", width),
            ("y", height),
            ("cy", height),
        ):
            assert 0 <= float(shape.get(attribute, 0)) <= most
        pairs = _numbers(shape.get("points", ""))
        assert all(0 <= x <= width for x in pairs[::2])
        assert all(0 <= y <= height for y in pairs[1::2])


def test_heights_follow_the_values() -> None:
    drawing = ET.fromstring(str(charts.week_chart(_chart(), 920, 300)))
    lines = {shape.get("class"): _numbers(shape.get("points", "")) for shape in drawing.iter("polyline")}
    bottom, top = 278.0, 14.0
    highest = 60  # the first round tick at or above the top of the band, 53.5
    drawn = [(bottom - y) / (bottom - top) * highest for y in lines["history"][1::2]]
    assert drawn == pytest.approx([10, 40, 20, 25], abs=0.05)
    assert lines["forecast"][:2] == lines["history"][-2:]


def test_no_line_is_drawn_across_a_missing_week() -> None:
    gap = WeekChart("gap", "", [*_weeks([1, 2]), *_weeks([3, 4, 5], 4)])
    drawing = ET.fromstring(str(charts.week_chart(gap, 400, 200)))
    assert [len(_numbers(line.get("points", ""))) // 2 for line in drawing.iter("polyline")] == [2, 3]


def test_text_is_escaped_everywhere() -> None:
    bars = [Bars(HOSTILE, "model", [0.5, None], [HOSTILE, ""])]
    drawn = [
        charts.week_chart(_chart(), 400, 200),
        charts.bar_chart(HOSTILE, HOSTILE, [HOSTILE, "b"], bars, 400),
        charts.coverage_chart(HOSTILE, HOSTILE, [HOSTILE, "b"], bars, 400),
        charts.sparkline(_weeks([1.0, 2.0]), HOSTILE),
        charts.error_mark(0.5, 0.7, 1.0, HOSTILE),
    ]
    for drawing in drawn:
        assert "<script" not in drawing
        label = ET.fromstring(str(drawing)).get("aria-label", "")
        assert label.startswith(HOSTILE)


def test_bars_are_as_high_as_their_values() -> None:
    bars = [Bars("a", "model", [0.4, 0.2], ["40%", "20%"]), Bars("b", "rule-a", [None, 0.8], ["", "80%"])]
    drawing = ET.fromstring(str(charts.bar_chart("t", "d", ["x", "y"], bars, 400)))
    heights = [float(bar.get("height", 0)) for bar in drawing.iter("rect")]
    assert [height / heights[-1] for height in heights] == pytest.approx([0.5, 0.25, 1.0], abs=0.01)
    assert [text.text for text in drawing.iter("text")] == ["x", "40%", "y", "20%", "80%"]


def test_the_coverage_axis_reaches_down_to_the_lowest_dot() -> None:
    low = [Bars("a", "model", [0.31], ["31%"])]
    drawing = ET.fromstring(str(charts.coverage_chart("t", "d", ["x"], low, 400)))
    labels = [text.text for text in drawing.iter("text")]
    assert labels[0] == "30%"
    assert "80%" in labels
    assert float(next(drawing.iter("circle")).get("cy", 0)) < 194


@pytest.mark.parametrize("highest", [0.3, 1, 7.5, 99, 100, 13_871, 2e6])
def test_ticks_are_round_and_enclose(highest: float) -> None:
    steps = svg.ticks(highest)
    assert steps[0] == 0
    assert steps[-1] >= highest > steps[-2]
    assert 3 <= len(steps) <= 7
    assert str(steps[1]).strip("0.").replace("e+", "")[:1] in "125"


def test_nothing_sold_still_has_an_axis() -> None:
    assert svg.ticks(0) == [0.0, 1.0]
    ET.fromstring(str(charts.week_chart(WeekChart("zero", "", _weeks([0, 0])), 400, 200)))
    assert charts.sparkline([], "none") == ""
    ET.fromstring(str(charts.sparkline(_weeks([0.0]), "one")))

"""The chart of ranges: true to the numbers, inside its box, and readable in both widths."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from assets.insights.range_chart import RangeRow, range_chart

ROWS = [RangeRow("TEA <hot>", -0.5, 1.0, "-50% to +100%", 0.25), RangeRow("MILK", -0.02, 0.03, "-2% to +3%")]


@pytest.mark.parametrize("width", [360, 952])
def test_marks_lie_where_their_numbers_say(width: int) -> None:
    drawing = ET.fromstring(range_chart("Ranges", ROWS, width, "outcome-dot"))
    wide, narrow = ([float(item.attrib[name]) for name in ("x", "width")] for item in drawing.iter("rect"))
    scale = wide[1] / 1.5
    expected = wide[0] + 0.5 * scale
    assert narrow == pytest.approx([expected - 0.02 * scale, 0.05 * scale], abs=0.2)
    dots = [(item.attrib["class"], float(item.attrib["cx"])) for item in drawing.iter("circle")]
    assert [name for name, _ in dots] == ["forecast-dot", "outcome-dot", "forecast-dot"]
    assert [x for _, x in dots] == pytest.approx([expected, expected + 0.25 * scale, expected], abs=0.2)


@pytest.mark.parametrize("width", [360, 952])
def test_everything_lies_inside_the_box(width: int) -> None:
    drawing = ET.fromstring(range_chart("Ranges", ROWS, width, "outcome-dot"))
    height = float(drawing.attrib["height"])
    for item in drawing.iter():
        for name, limit in (("x", width), ("x1", width), ("cx", width), ("y", height), ("y2", height), ("cy", height)):
            assert 0 <= float(item.attrib.get(name, 0)) <= limit
    assert "TEA <hot>" in " ".join(text.text or "" for text in drawing.iter("text"))
    assert "MILK -2% to +3%" in drawing.attrib["aria-label"]

"""The picture of the closed loop: `python -m benchmarks.loop_plot LOOP.json PICTURE.png`.

Belongs here: two panels of what `liftlake bench loop --json` printed. Does not belong here: the loop (benchmarks.loop).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "liftlake": "#0b5fa5",
    "frozen": "#8a8a8a",
    "popularity": "#c26a00",
    "largest": "#7a3e9d",
    "random": "#b0b0b0",
}


def picture(by_round: Mapping[str, Mapping[str, list[float]]]) -> Figure:
    """Calibration error by round, and net margin up to each round; means over markets with 95 % bands."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, parts in by_round.items():
        _line(right, parts, "net_margin_usd", name)
        if "error_points" in parts:
            _line(left, parts, "error_points", name)
    left.set(title="Expected against true lift, points apart", xlabel="round", ylim=(0, None))
    right.set(title="Added margin less costs so far, US dollars", xlabel="round")
    right.axhline(0, color="black", linewidth=0.5)
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _line(axes: Axes, parts: Mapping[str, list[float]], part: str, name: str) -> None:
    mean, half = np.array(parts[part]), np.array(parts[f"{part}_half"])
    rounds = np.arange(1, len(mean) + 1)
    axes.plot(rounds, mean, color=COLOURS[name], label=name)
    axes.fill_between(rounds, mean - half, mean + half, color=COLOURS[name], alpha=0.15, linewidth=0)
    axes.set_xticks(rounds)


if __name__ == "__main__":
    printed = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    picture(printed["by_round"]).savefig(Path(sys.argv[2]), dpi=110)

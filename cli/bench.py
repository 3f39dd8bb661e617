"""`liftlake bench`: the programs of benchmarks/, one name each."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from benchmarks.program import Options
from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop

# Loaded when asked for: the rivals' libraries take seconds to import, and are in a dependency group of their own.
PROGRAMS = (
    "asof",
    "censoring",
    "cluster",
    "crash",
    "demand",
    "demand_limits",
    "demo",
    "drift",
    "elasticity",
    "events",
    "features",
    "ingest",
    "kafka",
    "lift",
    "loop",
    "optimizer",
    "orangejuice",
    "scoring",
    "tourism",
    "validation",
)
ROUNDS = re.compile(r"\d+(-\d+)?")


@command
def bench(
    name: str = typer.Argument(..., help="Which benchmark: " + ", ".join(PROGRAMS)),
    data: Path | None = typer.Option(None, help="Folder of the data; default: a folder of LIFTLAKE_REFERENCE_DATA."),
    rounds: str | None = typer.Option(None, help="Rounds of a protocol that has them, as 1-6 or 3."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run a benchmark and print its figures."""
    if name not in PROGRAMS:
        stop(f"There is no benchmark {name!r}; there are: {', '.join(PROGRAMS)}.", WRONG_USE)
    if rounds is not None and not ROUNDS.fullmatch(rounds):
        stop(f"--rounds takes one round or a range, as 3 or 1-6; got {rounds!r}.", WRONG_USE)
    result = _program(name)(Options(data, rounds))
    if as_json:
        print_json(result)
        return
    _print(result)


def _program(name: str) -> Callable[[Options], dict[str, Any]]:
    try:
        return getattr(importlib.import_module(f"benchmarks.{name}"), f"bench_{name}")
    except ModuleNotFoundError as error:
        stop(f"The benchmark {name} needs {error.name}, of the dependency group `bench`: say `make setup`.", WRONG_USE)


def _print(result: dict[str, Any]) -> None:
    for kind in ("metrics", "published"):
        for key, value in result[kind].items():
            out.print(f"{kind:<10} {key:<44} {value:>12,.4g}", highlight=False)
    for rival, figures in result["rivals"].items():
        for key, value in figures.items():
            out.print(f"{'rival':<10} {rival + ' ' + key:<44} {value:>12,.4g}", highlight=False)
    for title in ("steps", "next_week_steps"):
        for step in result.get(title, ()):
            name, seconds, peak = step["step"], step["seconds"], step["peak_rss_mb"]
            out.print(f"{title:<16} {name:<44} {seconds:>7.1f} s {peak:>7,} MB", highlight=False)
    out.print(f"{result['seconds']:.1f} s, peak of all processes {result['peak_rss_mb']:,.0f} MB")

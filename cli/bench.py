"""`liftlake bench`: the programs of benchmarks/, one name each."""

from __future__ import annotations

import typer

from benchmarks.demo import bench_demo
from benchmarks.ingest import bench_ingest
from benchmarks.validation import bench_validation
from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop

PROGRAMS = {"demo": bench_demo, "ingest": bench_ingest, "validation": bench_validation}


@command
def bench(
    name: str = typer.Argument(..., help="Which benchmark: " + ", ".join(PROGRAMS)),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run a benchmark and print its figures."""
    if name not in PROGRAMS:
        stop(f"There is no benchmark {name!r}; there are: {', '.join(PROGRAMS)}.", WRONG_USE)
    result = PROGRAMS[name]()
    if as_json:
        print_json(result)
        return
    for key, value in result["metrics"].items():
        out.print(f"{key:<52} {value:>10,.2f}", highlight=False)
    for title in ("steps", "next_week_steps"):
        for step in result.get(title, ()):
            name, seconds, peak = step["step"], step["seconds"], step["peak_rss_mb"]
            out.print(f"{title:<16} {name:<44} {seconds:>7.1f} s {peak:>7,} MB", highlight=False)
    for rival, figures in result["rivals"].items():
        line = f"against {rival:<44} {figures['seconds']:>10,.2f} s   ratio {figures['ratio']:.2f}"
        out.print(line, highlight=False)
    out.print(f"{result['seconds']:.0f} s, peak of all processes {result['peak_rss_mb']:,.0f} MB")

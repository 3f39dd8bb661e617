"""`liftlake leakage`."""

from __future__ import annotations

import typer
from rich.progress import Progress

from assets.gold.demand import planned
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from cli.session import session
from ml.leakage import leaks


@command
def leakage(
    cutoffs: int = typer.Option(6, "--cutoffs", min=1, help="How many cutoff weeks to test, spread over the lake."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Change everything after a cutoff, in both times: no feature up to it may move. Exit code 1 when one does."""
    with session() as opened:
        series = opened.lake.read("gold.demand_series")
        plans = planned(opened.lake, opened.graph)
    weeks = series["week_start_date"].unique().sort().to_list()[:-1]
    if not weeks:
        stop("The lake holds one week: nothing lies after a cutoff yet.", WRONG_USE)
    step = max(len(weeks) // cutoffs, 1)
    tested = weeks[::-1][::step][:cutoffs]
    horizons = opened.settings.lake.forecast.horizons_weeks
    with Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("cutoffs", total=len(tested))
        found = leaks(series, plans, tested, horizons, progress=lambda _: bar.advance(task))
    if as_json:
        print_json({"cutoffs": sorted(map(str, tested)), "leaks": found.to_dicts()})
    for row in found.iter_rows(named=True):
        text = (
            f"{row['feature']} at {row['cutoff_week_start_date']}: {row['rows_changed']:,} of {row['rows_compared']:,}"
        )
        err.print(f"{text} rows changed with the future", highlight=False)
    if found.height:
        raise typer.Exit(SAYS_NO)
    if not as_json:
        out.print(f"No feature knows the future: {len(tested)} cutoffs, everything after each changed.")

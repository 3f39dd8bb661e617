"""`liftlake demo`."""

from __future__ import annotations

import time
from datetime import timedelta

import typer

from cli.output import JSON_OPTION, command, err, out, print_json
from cli.run import as_row, at_clock, say_stopped
from cli.session import require_home
from cli.status import lake_status, show
from cli.workbench import stop_failed, workbench
from resources.lake_file import Lake
from resources.settings import load_settings, write_lake


@command
def demo(
    next_week: bool = typer.Option(
        False, "--next-week", help="Let one more business week pass, then bring the lake up."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Build the demo lake, or bring it up to date: what is not behind is left alone."""
    began = time.monotonic()
    settings = load_settings()
    require_home(settings)
    if not (settings.home / "lake.yaml").exists():
        settings = write_lake(settings, Lake.model_validate(settings.lake.model_dump()))
    if next_week:
        settings = at_clock(settings, (settings.as_of + timedelta(days=7)).isoformat())
    with workbench(settings) as opened:
        work, stopped = opened.outlook()
        if work:
            err.print(f"{len(work)} of {len(opened.nodes())} tables are behind.")
        say_stopped(stopped)
        failures = opened.execute(work)
        if failures:
            stop_failed(opened.settings, failures)
        content = lake_status(opened, with_digests=False)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**content, "work": [as_row(item) for item in work], "seconds": round(seconds, 1)})
        return
    show(content)
    done = f"{len(work)} tables built" if work else "nothing was behind"
    out.print(f"{done} in {seconds:.0f} s.  Report: {settings.artifacts / 'report' / 'report.html'}  UI: make ui")

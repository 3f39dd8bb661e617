"""`liftlake report`."""

from __future__ import annotations

from assets.insights.report import report_path
from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from resources.settings import load_settings


@command
def report(as_json: bool = JSON_OPTION) -> None:
    """Where the newest report lies."""
    path = report_path(load_settings())
    if not path.exists():
        stop("There is no report yet: run `liftlake demo`.", WRONG_USE)
    if as_json:
        print_json({"path": str(path)})
    else:
        out.print(str(path), highlight=False, soft_wrap=True)

"""`liftlake rollback`."""

from __future__ import annotations

import typer

from assets.models.rollback import Request, roll_back
from cli.output import JSON_OPTION, command, out, print_json
from cli.session import session
from resources.outbound import announce
from resources.registry import Registry


@command
def rollback(
    reason: str = typer.Option(..., "--reason", help="Why; it is written into the champion history."),
    by: str = typer.Option(..., "--by", help="Who decides; it is written into the champion history."),
    to: str | None = typer.Option(None, "--to", help="A former champion's version, or its beginning."),
    instead_of: str | None = typer.Option(
        None, "--instead-of", help="The champion that you mean to replace; refused when it is another by now."
    ),
    wait: float = typer.Option(30, "--wait", min=0, help="Seconds to wait for a run that is writing."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Put the champion before this one in charge, after a proof that it loads and scores.

    The next `liftlake run` issues the forecasts of the newest week anew.
    """
    with session() as opened:
        request = Request(reason, by, to, instead_of)
        (row,) = roll_back(opened.lake, opened.graph, Registry(opened.settings), request, wait).to_dicts()
        announce(opened.lake)
    if as_json:
        print_json(row)
        return
    out.print(
        f"Champion is {row['model_version'][:12]} instead of {row['previous_model_version'][:12]}. "
        "`liftlake run` issues the newest week's forecasts by it.",
        highlight=False,
    )

"""`liftlake doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json
from resources.preconditions import look
from resources.settings import load_settings


@command
def doctor(as_json: bool = JSON_OPTION) -> None:
    """One line per precondition, with the mend for what fails. Exit code 2 when one fails."""
    findings = look(load_settings())
    if as_json:
        print_json({"preconditions": [asdict(item) for item in findings]})
    else:
        for item in findings:
            mark = "[green]ok  [/]" if item.is_met else "[red]FAIL[/]"
            mend = "" if item.is_met else f"  -> {item.mend}"
            out.print(f"{mark} {item.name:<14} {item.found}{mend}", highlight=False, soft_wrap=True)
    if not all(item.is_met for item in findings):
        raise typer.Exit(WRONG_USE)

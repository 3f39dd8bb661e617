"""Entry point of the `liftlake` command: the list of its sub-commands, each loaded when it is called.

Loading the whole graph costs seconds; `liftlake --help` and `liftlake doctor` should not pay them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click
import typer
import typer.main

# name -> (module, one-line help); the module holds `app`, a Typer with one command or a group
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("cli.demo", "Build the demo lake: a grocer's year, a gated model, forecasts and a report."),
    "up": ("cli.server", "Open the Dagster UI on the lake (foreground)."),
    "down": ("cli.server", "Stop the lake's local Spark server."),
    "doctor": ("cli.doctor", "One line per precondition, with the mend for what fails."),
    "status": ("cli.status", "What the lake holds: counts, versions, freshness, champions."),
    "ingest": ("cli.ingest", "Ingest the files of a folder or one file."),
    "plan": ("cli.run", "What would be rebuilt, and why."),
    "run": ("cli.run", "Rebuild what is behind, or a selection."),
    "check": ("cli.check", "Run contract and freshness checks; exit code 1 when one fails."),
    "contract": ("cli.contract", "Lint contracts and build what is generated from them."),
    "champion": ("cli.models", "The champion model and its history."),
    "forecast": ("cli.models", "Show issued forecasts."),
    "report": ("cli.report", "Where the newest report lies."),
    "bench": ("cli.bench", "Run a benchmark program."),
}


class LazyCommands(click.Group):
    """Loads the module of a sub-command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        app: typer.Typer = importlib.import_module(COMMANDS[cmd_name][0]).app
        found = typer.main.get_command(app)
        return found.commands[cmd_name] if isinstance(found, click.Group) and cmd_name in found.commands else found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    group = LazyCommands(name="liftlake", help="Receipts and promotions to forecasts and measured lift.")
    result = group.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    return int(result or 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)

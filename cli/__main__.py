"""Entry point of the `liftlake` command: the list of its sub-commands, each loaded when it is called.

Loading the whole graph costs seconds; `liftlake --help` and `liftlake doctor` should not pay them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import typer

# name -> (module, function or group in it, one-line help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("cli.demo", "demo", "Build the demo lake: a grocer's year, a gated model, forecasts and a report."),
    "up": ("cli.server", "up", "Open the Dagster UI on the lake (foreground)."),
    "down": ("cli.server", "down", "Stop the lake's local Spark server."),
    "doctor": ("cli.doctor", "doctor", "One line per precondition, with the mend for what fails."),
    "status": ("cli.status", "status", "What the lake holds: counts, versions, freshness, champions."),
    "source": ("cli.source", "source", "Draft a source mapping from a file."),
    "ingest": ("cli.ingest", "ingest", "Ingest the files of a folder or one file."),
    "topic": ("cli.topic", "topic", "Kafka topics: how far they are read, following them, what they lost."),
    "plan": ("cli.run", "plan", "What would be rebuilt, and why."),
    "run": ("cli.run", "run", "Rebuild what is behind, or a selection."),
    "backfill": ("cli.backfill", "backfill", "Rebuild the weeks that late rows touch; resume what failed."),
    "check": ("cli.check", "check", "Run contract and freshness checks; exit code 1 when one fails."),
    "checks": ("cli.checks", "checks", "Results of checks over time."),
    "quarantine": ("cli.quarantine", "quarantine", "What was refused, and how it comes back."),
    "contract": ("cli.contract", "contract", "Lint contracts and build what is generated from them."),
    "leakage": ("cli.leakage", "leakage", "Prove that no feature knows what came after its cutoff."),
    "lift": ("cli.lift", "lift", "What each promotion added at the point of sale, net of what it borrowed."),
    "features": ("cli.features", "features", "What a feature means, and which models use it."),
    "trainset": ("cli.training", "trainset", "Training sets, and their rows made again."),
    "train": ("cli.training", "train", "Make a recorded model again, and name what differs."),
    "champion": ("cli.models", "champion", "The champion model and its history."),
    "rollback": ("cli.rollback", "rollback", "Put an earlier champion in charge, after a proof that it scores."),
    "card": ("cli.card", "card", "The card of a model: data, accuracy by slice, decisions, limits."),
    "drift": ("cli.drift", "drift", "How far newer weeks are from the training, and what was decided."),
    "forecast": ("cli.models", "forecast", "Show issued forecasts."),
    "drivers": ("cli.drivers", "drivers", "What the newest forecasts are made up of."),
    "actions": ("cli.actions", "actions", "What to do next, and the decisions about it."),
    "events": ("cli.events", "events", "What other programs are told: what waits, and sending it."),
    "report": ("cli.report", "report", "Where the newest report lies."),
    "backup": ("cli.backup", "backup", "Write the whole lake to one archive."),
    "restore": ("cli.backup", "restore", "Make the lake of an archive in an empty home."),
    "tokens": ("cli.tokens", "tokens", "Change the key of the household tokens."),
    "maintain": ("cli.maintain", "maintain", "Free what nothing pins: old versions, old runs; compact small files."),
    "bench": ("cli.bench", "bench", "Run a benchmark program."),
}


def application(called: str | None) -> typer.Typer:
    """The command line with one sub-command loaded; the others are there by name and help only."""
    root = typer.Typer(
        name="liftlake",
        help="Receipts, promotions and offers to governed tables, forecasts and measured lift.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @root.callback()
    def liftlake() -> None:
        """Receipts, promotions and offers to governed tables, forecasts and measured lift."""

    for name, (module, attribute, text) in COMMANDS.items():
        if name != called:
            root.command(name, help=text)(_not_loaded)
            continue
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            root.add_typer(found, name=name, help=text)
        else:
            root.command(name)(found)
    return root


def _not_loaded() -> None:
    """Stands for a sub-command in the list of `--help`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    application(next((word for word in given if not word.startswith("-")), None))(given)


if __name__ == "__main__":
    main()

"""`liftlake card`."""

from __future__ import annotations

from pathlib import Path

import typer

from assets.models.card import model_card
from cli.output import JSON_OPTION, WRONG_USE, command, err, print_json, stop
from cli.session import session
from resources.champions import champion_of


@command
def card(
    version: str | None = typer.Argument(None, help="A model version or its beginning; the champion when absent."),
    target: Path | None = typer.Option(None, "--out", help="Write it to this file."),
    as_json: bool = JSON_OPTION,
) -> None:
    """The card of a model: data, accuracy by slice, decisions, features, limits, as Markdown."""
    with session() as opened:
        chosen = version or champion_of(opened.lake)
        if chosen is None:
            stop("No model is in charge yet.", WRONG_USE)
        known = opened.lake.read("models.demand_models", ["model_version"])["model_version"]
        fitting = known.filter(known.str.starts_with(chosen)).unique()
        if len(fitting) != 1:
            stop(f"{len(fitting)} models begin with {chosen!r}; name one.", WRONG_USE)
        text = model_card(opened.lake, opened.graph, fitting[0])
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        err.print(f"The card of {fitting[0][:12]} is in {target}", highlight=False)
    if as_json:
        print_json({"model_version": fitting[0], "card": text})
    elif target is None:
        typer.echo(text)

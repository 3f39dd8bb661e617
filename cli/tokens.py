"""`liftlake tokens rotate`."""

from __future__ import annotations

import typer

from assets.automation.plan import Work
from checks.asset_checks.audit import HELD_TAG
from checks.contracts.model import PSEUDONYMOUS
from cli.output import JSON_OPTION, WRONG_USE, command, err, print_json, stop
from cli.run import as_row
from cli.session import publish_rotated
from cli.workbench import Workbench, stop_failed, workbench
from resources.settings import load_settings
from resources.table_files import has_files
from resources.token_keys import begin_rotation, mark_publishing

tokens = typer.Typer(help="Household tokens and their key.")
KEYS = ("bronze", "household_keys")


@tokens.callback()
def group() -> None:
    """Household tokens and their key."""


@tokens.command()
@command
def rotate(as_json: bool = JSON_OPTION) -> None:
    """Make every household token anew under LIFTLAKE_NEW_TOKEN_KEY; readers change over at once.

    Set LIFTLAKE_TOKEN_KEY to the new key afterwards. Repeat the command to complete a rotation that was interrupted.
    """
    settings = load_settings()
    if settings.new_token_key is None:
        stop(
            "Set LIFTLAKE_NEW_TOKEN_KEY to the new secret; it is read from the environment and kept nowhere.", WRONG_USE
        )
    new_key = settings.new_token_key
    if not has_files(settings, ".".join(KEYS)):
        stop("The lake has no tokens yet: set LIFTLAKE_TOKEN_KEY to the key that you want, and run.", WRONG_USE)
    rotation = begin_rotation(settings, new_key.get_secret_value().encode())
    renewed = settings.model_copy(update={"token_key": new_key})
    with workbench(renewed) as opened:
        opened.lake.claim(is_repair=True)
        failures = opened.execute(token_tables(opened), tags={HELD_TAG: "true"})
        if failures:
            err.print("Nothing was published: readers see the tokens of the old key.", highlight=False)
            stop_failed(renewed, failures)
        silver = [opened.graph.contract(*item.key) for item in token_tables(opened) if item.key != KEYS]
        versions = {contract.published_name: opened.lake.newest(contract).version for contract in silver}
        publish_rotated(opened.lake, opened.graph, mark_publishing(renewed, rotation, versions))
    # The graph of the new key: what was made from the old tokens follows.
    with workbench(renewed) as opened:
        work, _ = opened.outlook()
        failures = opened.execute(work)
        if failures:
            stop_failed(renewed, failures)
    if as_json:
        print_json(
            {"key_version": rotation.key.version, "tables": versions, "followed": [as_row(item) for item in work]}
        )
    else:
        err.print(
            f"{len(versions)} tables carry tokens of key version {rotation.key.version}, {len(work)} tables followed. "
            "Set LIFTLAKE_TOKEN_KEY to the new key now.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def token_tables(opened: Workbench) -> list[Work]:
    """The keys, and every silver table that carries a token, for all its weeks."""
    carriers = {
        key
        for key, contract in opened.graph.contracts.items()
        if key[0] == "silver" and any(column.classification == PSEUDONYMOUS for column in contract.columns)
    }
    nodes = [node for node in opened.nodes() if node.key == KEYS or node.key in carriers]
    return [Work(node.key, "the key of the tokens changes", node.wanted) for node in nodes]

"""Calls that decide about the champion, each in a process of its own; one may be killed on its way."""

from __future__ import annotations

from contextlib import closing

from assets.models.gate import published_history
from assets.models.rollback import Request, append, roll_back
from benchmarks.kills import die_at
from definitions import build_graph
from ml.champions import NoRollback, gate_row
from ml.promotion import Decision
from resources.champions import project_champion
from resources.lake import Lake
from resources.registry import MODEL_NAME, Registry
from resources.settings import load_settings
from resources.spark import SparkDoor

# What a rollback calls on its way, in order.
CALLED = (
    ("assets.models.rollback", "probe"),
    ("resources.lake.Lake", "write"),
    ("assets.models.rollback", "audit_table"),
    ("resources.lake.Lake", "publish"),
    ("resources.registry.Registry", "project_champion"),
)


def promote(environment: dict[str, str], version: str, reason: str) -> str:
    """Decide as the gate does; returns the champion."""
    settings = load_settings(environment)
    graph, registry = build_graph(settings), Registry(settings)
    with closing(Lake(settings, SparkDoor(settings))) as lake:
        lake.claim(wait_seconds=300)
        history = published_history(lake, graph)
        decision = Decision(promoted=True, reasons=(reason,))
        append(lake, graph, history, gate_row(MODEL_NAME, history, settings.as_of, version, decision))
        project_champion(lake, registry)
    return version


def back(environment: dict[str, str], reason: str) -> str | None:
    """Roll back; returns the champion, None where there was nothing to go back to."""
    settings = load_settings(environment)
    with closing(Lake(settings, SparkDoor(settings))) as lake:
        request = Request(reason, "ann")
        try:
            row = roll_back(lake, build_graph(settings), Registry(settings), request, wait_seconds=300)
        except NoRollback:
            return None
    return str(row["model_version"][0])


def killed_back(environment: dict[str, str], owner: str, name: str, *, before: bool) -> None:
    """Roll back, and die by SIGKILL just before or after a call of `owner.name`."""
    die_at(owner, name, before=before)
    back(environment, f"killed {'before' if before else 'after'} {name}")

"""The champion as the history has it, and the registry's alias beside it.

Belongs here: the reconciliation of the two: the published history is the truth, the alias its projection. Does not
belong here: who becomes champion (the gate in assets.models, `liftlake rollback`).
"""

from __future__ import annotations

from ml.champions import champion_at
from resources.lake import Lake
from resources.preconditions import Finding
from resources.registry import MODEL_NAME, Registry

HISTORY = "models.champion_history"
NAME = "Champion"


def champion_of(lake: Lake) -> str | None:
    """The model that the published history has in charge; None when it has none."""
    if not lake.exists(HISTORY):
        return None
    return champion_at(lake.read(HISTORY, where=f"model_name = '{MODEL_NAME}'"))


def project_champion(lake: Lake, registry: Registry) -> None:
    """Point the alias at the champion of the published history, where there is one.

    Raises:
        LookupError: the champion is not in the registry, so that no alias can name it.
    """
    champion = champion_of(lake)
    if champion is not None and champion != registry.champion():
        registry.project_champion(champion)


def alias_finding(lake: Lake, registry: Registry, *, mend: bool) -> list[Finding]:
    """Whether the alias points at the champion of the history; with `mend` it does afterwards.

    Raises:
        LookupError: see `project_champion`.
    """
    if mend:
        project_champion(lake, registry)
    champion, alias = champion_of(lake), registry.champion()
    if champion == alias:
        return [Finding(NAME, is_met=True, found=f"alias and history agree on {(champion or 'none')[:12]}")]
    found = f"the alias names {(alias or 'no model')[:12]}, the history {(champion or 'no model')[:12]}"
    return [Finding(NAME, is_met=False, found=found, mend="the history is right: run `liftlake doctor --mend`")]

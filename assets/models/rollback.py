"""Models: a rollback, which puts an earlier champion in charge by a person's decision.

Belongs here: the proof that the target loads and scores, and the one transaction of history, publication and alias.
Does not belong here: which target (ml.champions), the command.
"""

from dataclasses import dataclass

import polars as pl

from assets.evidence import bundle_path
from assets.graph import Graph
from assets.models.gate import published_history
from ml.champions import NoRollback, champion_at, require_linear, rollback_row, rollback_target
from ml.features import FEATURE_KEY
from ml.packaging import load_bundle
from ml.reference_rows import require_reference
from ml.scoring import score
from resources.audits import audit_table, publish_if_new
from resources.champions import HISTORY, project_champion
from resources.lake import Lake
from resources.registry import MODEL_NAME, Registry

# Rows of the newest issue that the target has to score before anything moves.
PROBED_ROWS = 200


@dataclass(frozen=True)
class Request:
    """What a person asks for.

    Attributes:
        reason, by: why, and who decides.
        target: the beginning of a former champion's version; None for the champion before this one.
        instead_of: the beginning of the champion that is meant to go; None for whichever it is.
    """

    reason: str
    by: str
    target: str | None = None
    instead_of: str | None = None


def roll_back(lake: Lake, graph: Graph, registry: Registry, request: Request, wait_seconds: float = 0) -> pl.DataFrame:
    """Put a former champion in charge: the row of the history that says so, published, with the alias behind it.

    The lake is claimed first and the history read then, so that of concurrent decisions each starts from what the one
    before it left. Killed before the publication nothing has happened; after it, `doctor --mend` brings the alias.

    Raises:
        NoRollback: there is no such target, the champion is not the one that was meant, or the history's contract
            refuses the row.
        BundleError, FeatureMismatch, BadFrame: the target does not load or score.
        RegistryError: the registry does not answer.
        Locked: another process writes.
    """
    lake.claim(wait_seconds)
    history = published_history(lake, graph)
    champion = champion_at(history)
    if request.instead_of is not None and not (champion or "").startswith(request.instead_of):
        raise NoRollback(f"The champion is {(champion or 'no model')[:12]} by now, not {request.instead_of}.")
    target = rollback_target(history, request.target)
    if registry.find(target) is None:
        raise NoRollback(f"Model {target[:12]} is not in the registry: no alias could name it. Nothing was changed.")
    evidence = {"probe.rows": float(probe(lake, graph, target).height)}
    row = rollback_row(MODEL_NAME, history, graph.settings.as_of, target, request.reason, request.by, evidence)
    append(lake, graph, history, row)
    project_champion(lake, registry)
    return row


def probe(lake: Lake, graph: Graph, version: str) -> pl.DataFrame:
    """What a model forecasts of some series of the newest issue.

    Raises:
        BundleError: its files are incomplete or altered, or it forecasts its reference rows otherwise.
        FeatureMismatch: it takes other features than this release computes.
        NoRollback: there is nothing to score, or a forecast is no number.
    """
    bundle = load_bundle(bundle_path(graph.settings, version), version)
    require_reference(bundle)
    issue = f"week_start_date = DATE'{graph.cutoff_week()}' ORDER BY {', '.join(FEATURE_KEY)} LIMIT {PROBED_ROWS}"
    scored = score(bundle, lake.read("gold.demand_features", where=issue))
    bands = scored.select("p10", "p50", "p90")
    if scored.is_empty() or not bands.select(pl.all_horizontal(pl.all().is_finite().all())).item():
        raise NoRollback(f"Model {version[:12]} does not score the week of {graph.cutoff_week()}; nothing was changed.")
    return scored


def append(lake: Lake, graph: Graph, history: pl.DataFrame, row: pl.DataFrame) -> None:
    """Publish the history with one more decision.

    The gate is not behind for it: the new version is said to be made from what the published one was.

    Raises:
        BadFrame: the row does not follow the history. NoRollback: the contract of the history refuses it.
    """
    contract = graph.contract("models", "champion_history")
    published = lake.publication(contract)
    if published is None:
        raise NoRollback(f"{HISTORY} is not published yet: there is nothing to roll back.")
    rows = pl.concat([history, row], how="diagonal_relaxed")
    require_linear(rows)
    lake.write(contract, rows, published.provenance)
    verdict, audited = audit_table(lake, contract, {item.published_name: item for item in graph.contracts.values()})
    if not verdict.passed:
        broken = ", ".join(result.rule_id for result in verdict.failures)
        raise NoRollback(f"The contract of {HISTORY} refuses the decision: {broken}. Nothing was published.")
    publish_if_new(lake, contract, audited)

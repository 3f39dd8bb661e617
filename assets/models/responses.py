"""Models: who is told of a drift decision.

Belongs here: the message of a decision. Does not belong here: the decision (ml.drift_decisions), delivery
(resources.notifier).
"""

from assets.graph import Graph
from assets.models.drift import DECISIONS
from ml.drift_decisions import Response
from resources.lake import Lake
from resources.notifier import Message

FEATURES = ("gold", "demand_features")
RUNBOOK = "docs/runbooks/drift.md"
# Weeks of decisions that are looked at for what was not told yet.
LOOKED_AT = 5


def drift_messages(lake: Lake, graph: Graph) -> list[Message]:
    """The messages of the newest decisions: of broken data an incident, of a request for training what is requested."""
    rows = lake.read(DECISIONS).sort("week_start_date").tail(LOOKED_AT)
    return [
        Message(
            subject=f"drift {row['model_name']} {row['week_start_date']} {row['response']}",
            kind="incident" if row["response"] == Response.INCIDENT else "request",
            summary=_summary(row),
            reasons=tuple(row["reasons"]),
            table=".".join(FEATURES if row["response"] == Response.INCIDENT else ("models", "demand_models")),
            owner=graph.contract(*FEATURES).owner,
            runbook=RUNBOOK,
        )
        for row in rows.iter_rows(named=True)
        if row["response"] in (Response.INCIDENT, Response.RETRAIN)
    ]


def _summary(row: dict) -> str:
    if row["response"] == Response.INCIDENT:
        return f"The features of the week of {row['week_start_date']} are broken; nothing is trained anew for it."
    cause = str(row["cause"]).replace("_", " ")
    return f"The {row['model_name']} model is trained anew after the week of {row['week_start_date']}: {cause}."

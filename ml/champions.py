"""The champion history: who is in charge, what a new decision may follow, and where a rollback leads.

Belongs here: reading the history, and the row that the gate or a rollback adds to it. Does not belong here: whether a
challenger is better (ml.promotion), tables and the registry.

The history is a sequence of decisions. Each starts from the champion that the one before left; only the newest of the
gate may be made again, and only while nothing follows it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from ml.frame_checks import BadFrame
from ml.promotion import Decision

PROMOTED, KEPT, ROLLED_BACK = "promoted", "kept", "rolled_back"


class NoRollback(LookupError):
    """There is no model to go back to, or not from here; the message says why. Nothing was changed."""


@dataclass(frozen=True)
class Standing:
    """What a decision of the gate at an instant starts from.

    Attributes:
        before: the decisions before it.
        is_settled: later decisions rest on the one that was made at that instant, or on the time after it.
    """

    before: pl.DataFrame
    is_settled: bool


def champion_at(history: pl.DataFrame, at: datetime | None = None) -> str | None:
    """The model in charge at an instant, by default after the last decision; None while none has passed the gate.

    Args:
        history: models.champion_history of one model, any order.
        at: decisions later than this do not count.
    """
    known = history if at is None else history.filter(pl.col("decided_as_of") <= at)
    return None if known.is_empty() else known.sort("ordinal")["model_version"][-1]


def changes(history: pl.DataFrame) -> pl.DataFrame:
    """The decisions that put a model in charge, oldest first."""
    return history.filter(pl.col("decision") != KEPT).sort("ordinal")


def withdrawn(history: pl.DataFrame) -> set[str]:
    """Models that a rollback took out of charge and none put back: the gate does not promote them again."""
    found: set[str] = set()
    for row in changes(history).filter(pl.col("decision") == ROLLED_BACK).iter_rows(named=True):
        found = (found | {row["previous_model_version"]}) - {row["model_version"]}
    return found


def standing(history: pl.DataFrame, at: datetime) -> Standing:
    """What the gate's decision at `at` starts from; its own earlier one at that instant is left out."""
    is_own = (pl.col("decided_as_of") == at) & (pl.col("decision") != ROLLED_BACK)
    own, before = history.filter(is_own), history.filter(~is_own).sort("ordinal")
    last = own["ordinal"].max()
    later = before.filter(pl.col("decided_as_of") > at if last is None else pl.col("ordinal") > last)
    return Standing(before, not later.is_empty())


def gate_row(
    model: str, before: pl.DataFrame, at: datetime, challenger: str | None, decision: Decision
) -> pl.DataFrame:
    """The gate's decision as the next row of the history.

    Args:
        model: name of what is forecast.
        before: the decisions so far.
        at: the lake's clock of the decision.
        challenger: what was judged; None when there was nothing to judge.
        decision: of ml.promotion. A promotion of the champion itself keeps it.
    """
    champion = champion_at(before)
    promoted = decision.promoted and challenger != champion
    row = _row(model, before, champion, challenger if promoted else champion)
    return row.with_columns(
        decision=pl.lit(PROMOTED if promoted else KEPT),
        decided_as_of=_instant(at),
        decided_by=pl.lit(None, pl.String),
        reasons=_texts(decision.reasons),
        evidence=pl.lit(json.dumps(dict(decision.evidence), sort_keys=True)),
    )


def rollback_row(
    model: str, history: pl.DataFrame, at: datetime, target: str, reason: str, by: str, evidence: dict[str, float]
) -> pl.DataFrame:
    """A rollback to `target` as the next row of the history.

    Raises:
        NoRollback: reason or name is empty, or the clock stands before the last decision.
    """
    if not reason.strip() or not by.strip():
        raise NoRollback("A rollback needs a reason and the name of who decides it.")
    last = changes(history)["decided_as_of"].max()
    if last is not None and at < last:  # type: ignore[operator]  a datetime
        raise NoRollback(
            f"The lake's clock {at:%Y-%m-%d %H:%M} stands before the last decision, {last:%Y-%m-%d %H:%M}."
        )
    row = _row(model, history, champion_at(history), target)
    return row.with_columns(
        decision=pl.lit(ROLLED_BACK),
        decided_as_of=_instant(at),
        decided_by=pl.lit(by.strip()),
        reasons=_texts((reason.strip(),)),
        evidence=pl.lit(json.dumps(evidence, sort_keys=True)),
    )


def rollback_target(history: pl.DataFrame, asked: str | None = None) -> str:
    """The model that a rollback puts in charge.

    Args:
        history: all decisions.
        asked: the beginning of a model version that was in charge before; by default the champion before this one.

    Raises:
        NoRollback: there is none, `asked` fits none or several, or it is the champion already.
    """
    line: list[str] = []
    for version in changes(history)["model_version"]:
        # A model that is put back in charge takes with it all that followed it.
        line = [*(line[: line.index(version)] if version in line else line), version]
    if asked is None:
        if len(line) < 2:  # noqa: PLR2004  the champion and one before it
            raise NoRollback("No earlier champion: there is nothing to roll back to.")
        return line[-2]
    ever = sorted({*changes(history)["model_version"]})
    fitting = [version for version in ever if version.startswith(asked)]
    if len(fitting) != 1:
        raise NoRollback(f"{len(fitting)} former champions begin with {asked!r}; `liftlake champion` lists them.")
    if fitting[0] == line[-1]:
        raise NoRollback(f"Model {fitting[0][:12]} is the champion already.")
    return fitting[0]


def require_linear(history: pl.DataFrame) -> None:
    """Raise BadFrame unless every decision is numbered on from, and starts from, what the one before it left."""
    ordered = history.sort("ordinal")
    left = ordered["model_version"].shift(1)
    numbers = ordered["ordinal"].to_list() == list(range(1, ordered.height + 1))
    if not numbers or not ordered["previous_model_version"].eq_missing(left).all():
        raise BadFrame("The champion history is no sequence: a decision does not start from the champion before it.")


def _row(model: str, before: pl.DataFrame, previous: str | None, version: str | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "model_name": [model],
            "ordinal": [before.height + 1],
            "model_version": [version],
            "previous_model_version": [previous],
        },
        schema_overrides={"model_version": pl.String, "previous_model_version": pl.String},
    )


def _instant(at: datetime) -> pl.Expr:
    return pl.lit(at).cast(pl.Datetime("us", "UTC"))


def _texts(sentences: Sequence[str]) -> pl.Series:
    return pl.Series("reasons", [list(sentences)], dtype=pl.List(pl.String))

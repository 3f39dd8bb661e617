"""What follows from drift: an incident, a request to train anew, or nothing.

Belongs here: the decision about the newest window from the windows before it. Does not belong here: the tests
(ml.drift), who is told and what runs (assets).

A model that is trained again on broken data learns the break, and one that is trained again after every odd week
learns noise. So broken data is an incident whatever else has moved, drift has to be there in several windows, the
newest among them, and after a request nothing is requested for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum


class Cause(StrEnum):
    DATA_FAULT = "data_fault"
    CONCEPT = "concept_drift"
    COVARIATE = "covariate_drift"
    BLIP = "blip"
    NONE = "none"


class Response(StrEnum):
    INCIDENT = "incident"
    RETRAIN = "retrain_requested"
    SUPPRESSED = "retrain_suppressed"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Policy:
    """How often drift has to be seen, and how long a request lasts.

    Attributes:
        windows: newest windows that are looked at.
        needed: of these with drift of one kind, the newest among them.
        error_level: chance below which a week's error is drift of the concept.
        cool_down_weeks: weeks after a request without another.
    """

    windows: int = 5
    needed: int = 2
    error_level: float = 0.025
    cool_down_weeks: int = 4


@dataclass(frozen=True)
class Window:
    """What was found in the rows of one week.

    Attributes:
        week: first day of the business week.
        faults: sentences about broken data.
        drifted: columns that have drifted.
        error_p: chance that a usual week errs as much; None while no forecast of the week has come true.
    """

    week: date
    faults: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()
    error_p: float | None = None


@dataclass(frozen=True)
class DriftDecision:
    """The cause that was found, the response to it, and why, in sentences."""

    cause: Cause
    response: Response
    reasons: tuple[str, ...]
    windows: tuple[date, ...] = field(default=())


def decide(windows: Sequence[Window], requested: Sequence[date], policy: Policy) -> DriftDecision:
    """The decision about the newest window.

    Args:
        windows: oldest first; at least one. Only the newest `policy.windows` count.
        requested: weeks of earlier decisions that requested a retraining.
        policy: how often, how long.

    Returns:
        Broken data is an incident, and no window with broken data counts as drift. Drift of the realised error comes
        before drift of the inputs, which has to be of one and the same column; seen in too few windows either is a
        blip.
    """
    recent = windows[-policy.windows :]
    newest = recent[-1]
    if newest.faults:
        return DriftDecision(Cause.DATA_FAULT, Response.INCIDENT, newest.faults, (newest.week,))
    sound = [window for window in recent if not window.faults]
    concept = [item.week for item in sound if item.error_p is not None and item.error_p <= policy.error_level]
    covariate = _drifted_weeks(sound, newest)
    for cause, weeks in ((Cause.CONCEPT, concept), (Cause.COVARIATE, covariate)):
        if newest.week in weeks and len(weeks) >= policy.needed:
            return _requested(cause, weeks, newest, requested, policy)
    seen = [weeks for weeks in (concept, covariate) if newest.week in weeks]
    if seen:
        reason = f"Seen in {len(max(seen, key=len))} of {len(recent)} windows; {policy.needed} are needed."
        return DriftDecision(Cause.BLIP, Response.NOTHING, (reason, *_evidence(newest)), (newest.week,))
    return DriftDecision(Cause.NONE, Response.NOTHING, ("Nothing moved more than usual weeks do.",))


def _drifted_weeks(windows: Sequence[Window], newest: Window) -> list[date]:
    """The windows in which that column has drifted which, of those of the newest window, has most often."""
    by_column = [[item.week for item in windows if name in item.drifted] for name in newest.drifted]
    return max(by_column, key=len, default=[])


def _requested(
    cause: Cause, weeks: Sequence[date], newest: Window, requested: Sequence[date], policy: Policy
) -> DriftDecision:
    last = max((week for week in requested if week < newest.week), default=None)
    reasons = (f"Seen in {len(weeks)} of the last {policy.windows} windows, the newest among them.", *_evidence(newest))
    if last is not None and newest.week - last < timedelta(weeks=policy.cool_down_weeks):
        reason = f"One was requested for the week of {last}; another may be {policy.cool_down_weeks} weeks after it."
        return DriftDecision(cause, Response.SUPPRESSED, (reason, *reasons), tuple(weeks))
    return DriftDecision(cause, Response.RETRAIN, reasons, tuple(weeks))


def _evidence(window: Window) -> tuple[str, ...]:
    found = []
    if window.error_p is not None:
        found.append(f"The chance that a usual week errs as much is {window.error_p:.2g}.")
    if window.drifted:
        found.append(f"Drifted: {', '.join(window.drifted)}.")
    return tuple(found)

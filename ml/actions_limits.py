"""What a plan of activities has to keep to and what is assumed about it, and the refusal of what cannot be.

Belongs here: limits, assumed costs and margins, their own soundness, the error. Does not belong here: choosing
(actions_optimizer), what an activity is expected to add (actions_candidates), the file (resources.assumptions).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KINDS: tuple[str, ...] = ("display", "mailer")
_PERCENT, _LEAST_MARGIN = 100.0, 0.0
MAXIMISE: tuple[str, ...] = ("net_margin_usd", "incremental_transactions")


class Refused(ValueError):
    """Nothing can be advised, decided or measured as asked; the message says why and what to change."""


@dataclass(frozen=True)
class Limits:
    """Limits of one plan; a plan is the advice of one issue week for all of its target weeks.

    Attributes:
        budget_usd: most that the assumed costs of all treated activities of the plan may add up to; above 0.
        slots_per_store: most activities in one store and target week.
        weeks_per_series: most target weeks in which a product group of a store has an activity.
        min_actions, max_actions: least and most activities of a kind in the plan, counted after the hold-out is taken
            out (least) and before (most); a kind that is not named has none.
        exploration_share: share of the product groups, stores and weeks, and most of the budget, in which an activity
            is chosen by a draw of its uncertain effect.
        hold_out_share: share of the chosen activities that is left out at random, so that the effect can be measured;
            of those that explore half.
        maximise: what the choice is judged by: expected margin less assumed costs, or expected transactions.
    """

    budget_usd: float
    slots_per_store: int
    weeks_per_series: int = 1
    min_actions: Mapping[str, int] = field(default_factory=dict)
    max_actions: Mapping[str, int] = field(default_factory=dict)
    exploration_share: float = 0.1
    hold_out_share: float = 0.1
    maximise: str = "net_margin_usd"

    def __post_init__(self) -> None:
        """Refuse what no plan can mean.

        Raises:
            Refused: with the name of the limit.
        """
        if not math.isfinite(self.budget_usd) or self.budget_usd <= 0:
            raise Refused(f"budget_usd must be an amount above 0, not {self.budget_usd}: no budget, no activity.")
        for name in ("slots_per_store", "weeks_per_series"):
            if getattr(self, name) < 1:
                raise Refused(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("exploration_share", "hold_out_share"):
            if not 0 <= getattr(self, name) < 1:
                raise Refused(f"{name} must be 0 or more and below 1, not {getattr(self, name)}.")
        if self.maximise not in MAXIMISE:
            raise Refused(f"maximise must be one of {', '.join(MAXIMISE)}, not {self.maximise!r}.")
        self._require_counts()

    def _require_counts(self) -> None:
        unknown = sorted({*self.min_actions, *self.max_actions} - set(KINDS))
        if unknown:
            raise Refused(f"There is no activity of the kind {unknown[0]!r}; the kinds are {', '.join(KINDS)}.")
        for kind, least in self.min_actions.items():
            if least < 0:
                raise Refused(f"min_actions of {kind} must be 0 or more, not {least}.")
        for kind, most in self.max_actions.items():
            if most < self.min_actions.get(kind, 0):
                least = self.min_actions.get(kind, 0)
                raise Refused(f"max_actions of {kind} is {most} and min_actions {least}: no number is both.")


@dataclass(frozen=True)
class Assumptions:
    """What no source tells and a person has to say.

    Attributes:
        costs_usd: of one activity of a kind, for one product group in one store for one week.
        margin_percent: what is earned of the net sales of a product group, before the cost of the activity.
        limits: of a plan.
        seed: of the draws of hold-out and exploration.
        version: names the numbers: rows that were made from the same have the same.
    """

    costs_usd: Mapping[str, float]
    margin_percent: Mapping[str, float]
    limits: Limits
    seed: int
    version: str

    def __post_init__(self) -> None:
        """Refuse amounts that cannot be.

        Raises:
            Refused: with the name of the assumption.
        """
        for kind, cost in self.costs_usd.items():
            if kind not in KINDS:
                raise Refused(
                    f"costs_usd: there is no activity of the kind {kind!r}; the kinds are {', '.join(KINDS)}."
                )
            if not math.isfinite(cost) or cost < 0:
                raise Refused(f"costs_usd of {kind} must be 0 or more, not {cost}.")
        for group, percent in self.margin_percent.items():
            if not _LEAST_MARGIN < percent <= _PERCENT:
                raise Refused(f"margin_percent of {group} must be above 0 and at most 100, not {percent}.")

    def require(self, kinds: Iterable[str], groups: Iterable[str]) -> None:
        """Every kind has a cost and every product group a margin.

        Raises:
            Refused: naming what is missing.
        """
        missing = [f"costs_usd of {kind}" for kind in sorted(set(kinds) - set(self.costs_usd))]
        missing += [f"margin_percent of {group}" for group in sorted(set(groups) - set(self.margin_percent))]
        if missing:
            raise Refused(f"assumptions.yaml says nothing about {'; '.join(missing)}: write what is assumed there.")

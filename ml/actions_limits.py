"""What a plan of activities has to keep to, and the refusal of what cannot be kept.

Belongs here: the limits, their own soundness, the error. Does not belong here: choosing (actions_optimizer), what an
activity costs or earns (assumptions, actions_candidates).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

KINDS: tuple[str, ...] = ("display", "mailer")
MAXIMISE: tuple[str, ...] = ("net_margin_usd", "incremental_transactions")


class Refused(ValueError):
    """Nothing can be advised, decided or measured as asked; the message says why and what to change."""


@dataclass(frozen=True)
class Limits:
    """Limits of one plan; a plan is the advice of one issue week for all of its target weeks.

    Attributes:
        budget_usd: most that the assumed costs of all activities of the plan may add up to; above 0.
        slots_per_store: most activities in one store and target week.
        weeks_per_series: most target weeks in which a product group of a store has an activity.
        min_actions, max_actions: least and most activities of a kind in the plan, counted after the hold-out is taken
            out (least) and before (most); a kind that is not named has none.
        exploration_share: share of the product groups, stores and weeks, and most of the budget, in which an activity
            is chosen by a draw of its uncertain effect.
        hold_out_share: share of the chosen activities that is left out at random, so that the effect can be measured.
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

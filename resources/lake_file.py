"""What a lake's own file says: source, weeks, scope, forecast, backtest, search and retention.

Belongs here: the shape of `lake.yaml` and its defaults. Does not belong here: where it lies, and what a machine sets
(settings).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Weeks(BaseModel):
    """Business weeks of the lake, each named by its first day."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    first: date
    last: date | None = None


class Scope(BaseModel):
    """What is forecast: product groups (none: the whole store) and the thinnest store."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    product_groups: tuple[str, ...] = ()
    min_weekly_transactions: float = Field(default=8, ge=0)


class Forecast(BaseModel):
    """What a forecast says: measure and horizons in weeks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    measure: Literal["transactions", "quantity_units", "net_sales_usd"] = "transactions"
    horizons_weeks: tuple[int, ...] = (1, 2, 3, 4)


class Backtest(BaseModel):
    """Rolling origin: how many cutoffs are held out and how far apart they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    folds: int = Field(default=5, ge=1)
    step_weeks: int = Field(default=2, ge=1)


class Study(BaseModel):
    """Budget of the search for hyper-parameters, on folds before those of the backtest; 0 trials: none is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    trials: int = Field(default=20, ge=0)
    folds: int = Field(default=4, ge=1)


class Retention(BaseModel):
    """What upkeep leaves: files of old table versions and finished runs by their age in days.

    The newest `runs_kept` runs stay whatever their age; bronze is compacted from so many files on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    table_days: float = Field(default=7, ge=0)
    run_days: float = Field(default=90, ge=0)
    runs_kept: int = Field(default=50, ge=0)
    compact_from_files: int = Field(default=32, ge=2)


class LakeDefaults(BaseModel):
    """What a lake of a source starts from, as the source's mapping says; the lake's own `lake.yaml` may differ.

    `tables` names those optional tables of the source that the lake has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    as_of: datetime | None = None
    weeks: Weeks
    scope: Scope = Scope()
    forecast: Forecast = Forecast()
    backtest: Backtest = Backtest()
    study: Study = Study()
    retention: Retention = Retention()
    tables: tuple[str, ...] = ()

    @field_validator("as_of")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("as_of needs a time zone, for example 2017-12-04T05:00:00Z")
        return value.astimezone(UTC) if value is not None else None


class Lake(LakeDefaults):
    """The content of `lake.yaml`: what makes this lake differ from another."""

    source: str

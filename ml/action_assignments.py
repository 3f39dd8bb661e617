"""The assignment log: who decided what about which cell, when, with which propensity.

Belongs here: the entries that a decision adds, what stands after all of them, and which decisions are refused. Does not
belong here: where the log lies (resources.assignments), what became of it (action_outcomes).

The log is added to and never changed: an edit is a new entry for the same cell, and the newest one stands. What a
person changed is not randomised any more, and neither is the stratum from which a person left rows out: who sees the
draw may choose by it. Such cells stay in the log and leave the comparison of treated with held-out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from ml.actions import ISSUE_WEEK, NEXT_ACTION_SCHEMA
from ml.actions_draws import HOLD_OUT, STRATUM, TREATED
from ml.actions_limits import KINDS, Refused
from ml.actions_optimizer import CANDIDATE_KEY, CELL, TARGET_WEEK
from ml.frame_checks import require_columns

NONE = "none"
APPROVED, EDITED = "approved", "edited"
# What the log keeps of the advice, so that outcomes are judged by what was known when it was approved.
ADVICE_COLUMNS = (
    "incremental_transactions", "base_transactions", "base_transactions_sd", "net_sales_usd_per_transaction",
    "lift_percent", "lift_sd_percent", "net_share", "assumed_cost_usd", "assumptions_version", "lift_version",
    "model_version", "data_version",
)  # fmt: skip
ASSIGNMENT_SCHEMA: dict[str, pl.DataType] = {
    "entry_number": pl.Int64(),
    "batch_id": pl.String(),
    "decision": pl.String(),
    ISSUE_WEEK: pl.Date(),
    TARGET_WEEK: pl.Date(),
    "store_id": pl.String(),
    "product_group": pl.String(),
    "kind": pl.String(),
    "cell": pl.String(),
    "is_hold_out": pl.Boolean(),
    "propensity": pl.Float64(),
    "is_randomised": pl.Boolean(),
    "decided_by": pl.String(),
    "decided_at": pl.Datetime("us", "UTC"),
    "note": pl.String(),
    **{name: NEXT_ACTION_SCHEMA[name] for name in ADVICE_COLUMNS},
}
_EXAMPLES = 3


@dataclass(frozen=True)
class Decider:
    """Who decides, at which instant of the lake's clock, and which target weeks have begun by then."""

    name: str
    at: datetime
    begun: Collection[date]

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise Refused("A decision needs a name: say who decides with --by.")


def standing(log: pl.DataFrame) -> pl.DataFrame:
    """The newest entry of every cell, sorted by CELL.

    Raises:
        Refused: an entry number repeats, or a cell was approved twice.
    """
    require_columns(log, tuple(ASSIGNMENT_SCHEMA), "The assignment log")
    if log["entry_number"].is_duplicated().any():
        raise Refused("The assignment log has two entries of one number: it was written to past `liftlake actions`.")
    approved = log.filter(pl.col("decision") == APPROVED)
    twice = approved.filter(pl.struct(CELL).is_duplicated()).sort(CELL)
    if twice.height:
        raise Refused(f"The assignment log has conflicting approvals of {_named(twice)}: edit is for a second thought.")
    return log.sort("entry_number").unique(CELL, keep="last", maintain_order=True).sort(CELL)


def approve(advice: pl.DataFrame, reviewed: pl.DataFrame | None, log: pl.DataFrame, by: Decider) -> pl.DataFrame:
    """The entries that approve an advice, or what a person made of it.

    Args:
        advice: rows of ml.actions.NEXT_ACTION_SCHEMA of one issue.
        reviewed: CELL and kind of the rows to approve, when a person went through them: a row that is left out is not
            approved, another kind (none: nothing is done) is an edit. All of the advice when None.
        log: what was decided before.
        by: who decides.

    Returns:
        Rows of ASSIGNMENT_SCHEMA to add, in order of CELL, without a batch_id.

    Raises:
        Refused: there is nothing to approve; a cell is unknown, repeats, was decided before, or its week has begun.
    """
    whole = advice.select(CANDIDATE_KEY)
    rows = _as_reviewed(advice, whole if reviewed is None else reviewed)
    if rows.is_empty():
        raise Refused("There is nothing to approve: the advice has no row.")
    _require_open(rows, by)
    before = rows.join(standing(log), on=CELL, how="semi").sort(CELL)
    if before.height:
        raise Refused(f"Decided before: {_named(before)}. Change it by `liftlake actions edit`.")
    changed = pl.col("kind") != pl.col("_advised_kind")
    found = rows.join(_changed_strata(advice, rows), on=STRATUM, how="left").with_columns(
        is_randomised=~changed & pl.col("_is_changed_stratum").is_null(),
        decision=pl.when(changed).then(pl.lit(EDITED)).otherwise(pl.lit(APPROVED)),
        cell=pl.when(changed).then(pl.lit(TREATED)).otherwise("cell"),
        note=pl.lit(None, pl.String),
    )
    return _entries(found, log, by)


def edit(log: pl.DataFrame, cell: tuple[date, str, str], kind: str, note: str, by: Decider) -> pl.DataFrame:
    """The entry that decides otherwise about one cell of the log.

    Args:
        log: what was decided before.
        cell: target week, store and product group.
        kind: what is done instead; none: nothing.
        note: why, in words.
        by: who decides.

    Raises:
        Refused: the cell is not in the log or stands so already, its week has begun, the kind or the note is none.
    """
    _require_kinds([kind])
    if not note.strip():
        raise Refused("An edit needs a note that says why: give --note.")
    week, store, group = cell
    rows = standing(log).filter(
        pl.col(TARGET_WEEK) == week, pl.col("store_id") == store, pl.col("product_group") == group
    )
    if rows.is_empty():
        raise Refused(f"Nothing was decided about {group} in store {store} in the week of {week}: approve it first.")
    is_done = rows["cell"][0] == TREATED and rows["kind"][0] == kind
    if is_done:
        raise Refused(f"{group} in store {store} in the week of {week} has {kind} already.")
    _require_open(rows, by)
    found = rows.with_columns(
        kind=pl.lit(kind), cell=pl.lit(TREATED), decision=pl.lit(EDITED), is_randomised=pl.lit(value=False),
        note=pl.lit(note.strip()),
    )  # fmt: skip
    return _entries(found, log, by)


def _as_reviewed(advice: pl.DataFrame, reviewed: pl.DataFrame) -> pl.DataFrame:
    require_columns(reviewed, CANDIDATE_KEY, "The reviewed advice")
    _require_kinds(reviewed["kind"].unique())
    twice = reviewed.filter(pl.struct(CELL).is_duplicated()).sort(CELL)
    if twice.height:
        raise Refused(f"The reviewed advice decides twice about {_named(twice)}.")
    unknown = reviewed.join(advice, on=CELL, how="anti").sort(CELL)
    if unknown.height:
        raise Refused(f"The reviewed advice names what was not advised: {_named(unknown)}.")
    kept = advice.rename({"kind": "_advised_kind"}).join(reviewed.select(CANDIDATE_KEY), on=CELL)
    return kept.select(*advice.columns, "_advised_kind")


def _changed_strata(advice: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Strata of the advice of which a row is not approved as it is, marked."""
    same = rows.filter(pl.col("kind") == pl.col("_advised_kind"))
    changed = advice.join(same, on=CANDIDATE_KEY, how="anti").select(STRATUM).unique()
    return changed.with_columns(_is_changed_stratum=pl.lit(value=True))


def _entries(rows: pl.DataFrame, log: pl.DataFrame, by: Decider) -> pl.DataFrame:
    """Rows with decision, cell, note and is_randomised as entries that follow those of the log."""
    number = pl.int_range(1, pl.len() + 1) + (0 if log.is_empty() else int(log["entry_number"].max()))  # type: ignore[arg-type]
    found = rows.sort(CELL).with_columns(
        entry_number=number,
        batch_id=pl.lit(""),
        is_hold_out=pl.col("cell") == HOLD_OUT,
        propensity=pl.when("is_randomised").then("propensity"),
        decided_by=pl.lit(by.name.strip()),
        decided_at=pl.lit(by.at).dt.cast_time_unit("us"),
    )
    return found.select(pl.col(name).cast(kind) for name, kind in ASSIGNMENT_SCHEMA.items())


def _require_open(rows: pl.DataFrame, by: Decider) -> None:
    late = rows.filter(pl.col(TARGET_WEEK).is_in(list(by.begun))).sort(CELL)
    if late.height:
        raise Refused(
            f"The week of {late[TARGET_WEEK][0]} has begun: what is decided now would follow its own outcome "
            f"({late.height} rows). Leave them out, or wait for the next advice."
        )


def _require_kinds(kinds: Collection[str] | pl.Series) -> None:
    unknown = sorted(set(kinds) - {*KINDS, NONE})
    if unknown:
        raise Refused(f"There is no activity of the kind {unknown[0]!r}; there are {', '.join(KINDS)} and {NONE}.")


def _named(rows: pl.DataFrame) -> str:
    cells = [f"{group} in store {store} in the week of {week}" for week, store, group in rows.select(CELL).rows()]
    more = f" and {len(cells) - _EXAMPLES} more" if len(cells) > _EXAMPLES else ""
    return "; ".join(cells[:_EXAMPLES]) + more

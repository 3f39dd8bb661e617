"""Which business weeks of a table changed since a version of it.

Belongs here: asking the tables themselves, bronze by its batches, others by their commits. Does not belong here: what
follows from a change (assets.automation.plan).
"""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.errors import AnalysisException

from checks.contracts.model import Contract
from checks.contracts.rule_sql import literal
from resources.commits import commits_between
from resources.lake import Lake
from resources.restatement import LINES, restated_weeks
from resources.spans import Weeks, from_texts, in_order


def weeks_of_batches(lake: Lake, contract: Contract, batches: Iterable[str]) -> Weeks:
    """The weeks that some batches of a bronze table brought or restate; none for a table without weeks."""
    return _bronze_weeks(lake, contract, f"batch_id IN ({', '.join(map(literal, batches))})")


def changed_weeks(lake: Lake, contract: Contract, since: str, until: str, *, only_gains: bool = False) -> Weeks | None:
    """The business weeks of a table that are not as they were at a version; None: any may be other.

    Args:
        lake: the lake.
        contract: of the table.
        since, until: the two versions, as tokens of `Lake.token`.
        only_gains: rows that were there before stay, and rows that are new concern only what came with them
            (`assets.graph.GAINS_TAG`).

    Returns:
        No week at all for a table that holds the same rows in both.
    """
    if contract.layer == "bronze" and "batch_id" in contract.column_names:
        is_new = f"batch_id NOT IN (SELECT DISTINCT batch_id FROM {contract.published_name} VERSION AS OF {since})"
        # Without a new batch something else has moved the table on.
        return _bronze_weeks(lake, contract, is_new) or None
    if contract.week_column is None:
        return () if _holds_the_same(lake, contract, since, until, only_gains=only_gains) else None
    commits = commits_between(lake.files, contract.audit_name, int(since), int(until))
    made = [commit.provenance.made if commit.provenance else None for commit in commits]
    if not made or None in made:
        return None
    return in_order(week for texts in made for week in from_texts(texts or ()))


def _bronze_weeks(lake: Lake, contract: Contract, is_new: str) -> Weeks:
    if contract.published_name == LINES:
        return restated_weeks(lake, is_new)
    if contract.week_column is None:
        return ()
    weeks = lake.query(f"SELECT DISTINCT {contract.week_column} AS week FROM {contract.published_name} WHERE {is_new}")
    return in_order(weeks["week"])


def _holds_the_same(lake: Lake, contract: Contract, since: str, until: str, *, only_gains: bool) -> bool:
    before, now = (f"SELECT * FROM {contract.audit_name} VERSION AS OF {version}" for version in (since, until))
    gone = f"({before} EXCEPT ALL {now})"
    differing = gone if only_gains else f"({gone} UNION ALL ({now} EXCEPT ALL {before}))"
    try:
        return lake.query(f"SELECT 1 AS one FROM {differing} LIMIT 1").is_empty()
    except AnalysisException:
        # Other columns, or a version that is no longer kept.
        return False

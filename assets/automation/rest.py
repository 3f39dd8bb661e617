"""What is left of planned work: after a run that failed, or of what a backfill asked for.

Belongs here: the rules by which tables and weeks wait for others, and what is done. Does not belong here: what is
behind in the lake (plan), executing (runs). Pure, so that every rule is tested without Spark.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

from assets.automation.plan import Key, Node, Run, Work, reached
from assets.automation.runs import Failed
from resources.spans import Weeks, in_order
from resources.verdicts import Fault

# Table -> its weeks; None for all of a table, or for one without weeks.
Part = Mapping[Key, Weeks | None]
# Table -> the weeks that are made and published; holds None for a table without weeks.
Done = Mapping[Key, Collection[date | None]]


def rest_of(work: Sequence[Work], done: Done, waiting: Part) -> list[Work]:
    """The work without what is done and what has to wait."""
    rest = []
    for item in work:
        if item.weeks is None:
            if not done.get(item.key) and item.key not in waiting:
                rest.append(item)
            continue
        out = waiting.get(item.key, ())
        weeks = in_order({*item.weeks} - {*done.get(item.key, ())} - {*(item.weeks if out is None else out)})
        if weeks:
            rest.append(replace(item, weeks=weeks))
    return rest


def waiting_for(nodes: Sequence[Node], faults: Mapping[Key, Fault], users: Collection[Key]) -> Part:
    """What has to wait for tables that broke their contracts: they themselves, and what uses the broken columns.

    Of a table of which only some weeks were refused, these wait, and below it the weeks that are made from them.
    """
    refused = {key: fault.weeks or None for key, fault in faults.items()}
    below = reached(nodes, refused)
    return {**refused, **{key: weeks for key, weeks in below.items() if key in users}}


def lost_with(nodes: Sequence[Node], run: Run, done: Done) -> Part:
    """What has to wait for a run over one week in which a step failed: what it did not make, and what stands below."""
    lost = {key: run.weeks for key in run.keys if not {*done.get(key, ())} >= {*(run.weeks or ())}}
    return {**lost, **reached(nodes, lost)}


def joined(first: Part, second: Part) -> dict[Key, Weeks | None]:
    """What is in either part."""
    both = dict(first)
    for key, weeks in second.items():
        own = both.get(key, ())
        both[key] = None if own is None or weeks is None else in_order((*own, *weeks))
    return both


def is_by_week(run: Run, nodes: Sequence[Node], done: Done) -> bool:
    """Whether all that a run did not make is made by week, so that another week may succeed."""
    weekly = {node.key for node in nodes if node.wanted is not None}
    return run.weeks is not None and all(key in weekly or done.get(key) for key in run.keys)


def missing_of(asked: Part, done: Done) -> dict[Key, Weeks | None]:
    """What was asked for and is not done."""
    found: dict[Key, Weeks | None] = {}
    for key, weeks in asked.items():
        if weeks is None and not done.get(key):
            found[key] = None
        elif weeks is not None and (left := in_order({*weeks} - {*done.get(key, ())})):
            found[key] = left
    return found


def reasons_of(missing: Part, failures: Sequence[Failed]) -> dict[tuple[Key, str], Weeks]:
    """(table, reason) -> the missing weeks that failed for it last, none for a table without weeks.

    What is missing and did not fail waits for something that did. A step of dbt makes several silver tables: its
    failure is that of each.
    """
    tables = {".".join(key) for key in missing}
    found: dict[tuple[Key, str], Weeks] = {}
    for key, weeks in missing.items():
        name, newest = ".".join(key), {}
        for failure in failures:
            if failure.name == name or (key[0] == "silver" and failure.name not in tables and "." not in failure.name):
                newest |= dict.fromkeys(failure.weeks or (None,), failure.reason)
        for week in weeks if weeks is not None else (None,):
            if week in newest:
                own = found.get((key, newest[week]), ())
                found[key, newest[week]] = own if week is None else (*own, week)
    return found

"""What has to be rebuilt, and why: from the graph and the state of the lake, without running anything.

Belongs here: the rules by which a table is behind, and the grouping of the work into runs. Does not belong here:
reading the lake (state) or executing (runs). Pure, so that every rule is tested without Spark.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from resources.commits import Provenance
from resources.spans import Weeks, from_texts, in_order, said, spans
from resources.verdicts import Fault

Key = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """One asset as the plan sees it.

    Attributes:
        deps: upstream assets.
        code: the version of its code.
        wanted: the business weeks that should be in it; None for an unpartitioned asset.
        read_through: weekly upstreams of which a changed week touches every later week too, and so many before it.
        has_step: False for a table that other steps write (the ledger).
        is_kept: newer inputs are no reason to make it anew (a study stays in force until it is asked for).
        only_gains: newer inputs only add rows, which concern no week but those that the inputs themselves touch.
    """

    key: Key
    deps: tuple[Key, ...]
    code: str
    wanted: Weeks | None = None
    read_through: Mapping[Key, int] = field(default_factory=dict)
    has_step: bool = True
    is_kept: bool = False
    only_gains: bool = False


@dataclass(frozen=True)
class State:
    """What the lake holds now.

    Attributes:
        made_from: provenance of every table that readers see.
        tokens: version of every table that readers see.
        arrived: source table -> files and messages of topics that are not in the ledger.
        changed_weeks: (table, token) -> the business weeks that are other than at that token; None: no week known.
        unchecked: tables of which no audit has seen the version that readers see.
        faults: tables of which the audit of that version did not pass; what uses the broken columns waits.
        unpublished: tables that hold a newer version than readers see: one that no audit passed.
    """

    made_from: Mapping[Key, Provenance]
    tokens: Mapping[Key, str]
    arrived: Mapping[Key, Sequence[str]]
    changed_weeks: Mapping[tuple[Key, str], Weeks | None] = field(default_factory=dict)
    unchecked: frozenset[Key] = frozenset()
    faults: Mapping[Key, Fault] = field(default_factory=dict)
    unpublished: frozenset[Key] = frozenset()


@dataclass(frozen=True)
class Work:
    """One asset to materialise: for which weeks, and why.

    `changes` is false where only its check is due; `touches` are the weeks that the change of an unpartitioned asset is
    known to touch in those below it, None: any.
    """

    key: Key
    reason: str
    weeks: Weeks | None
    changes: bool = True
    touches: Weeks | None = None


@dataclass
class Run:
    """Assets that one Dagster run materialises, all partitioned ones for the same weeks without a gap."""

    keys: list[Key]
    weeks: Weeks | None = None


def plan(nodes: Sequence[Node], state: State, stopped: Collection[Key] = ()) -> list[Work]:
    """The assets that are behind, upstream first.

    Args:
        nodes: all assets in topological order.
        state: what the lake holds.
        stopped: assets that have to wait; what stands below them goes on with what was published before.
    """
    names = {node.key: ".".join(node.key) for node in nodes}
    found: dict[Key, Work] = {}
    for node in nodes:
        is_open = node.has_step and node.key not in stopped
        work = _work(node, state, found, names) if is_open else None
        if work is not None:
            found[node.key] = work
    return list(found.values())


def _work(node: Node, state: State, planned: Mapping[Key, Work], names: Mapping[Key, str]) -> Work | None:
    made_from = state.made_from.get(node.key)
    own = own_reason(node, state)
    if own is not None:
        return Work(node.key, own, node.wanted)
    is_unchecked = node.key in state.unchecked
    check = Work(node.key, "no check has seen its newest version", node.wanted, changes=False) if is_unchecked else None
    if made_from is None or node.is_kept:
        return check
    found: list[tuple[str, Weeks | None]] = []
    for dep in node.deps:
        token = made_from.inputs.get(names[dep])
        is_planned = dep in planned and planned[dep].changes
        if is_planned:
            work = planned[dep]
            touched = work.touches if work.weeks is None else work.weeks
            found.append((f"{names[dep]} is rebuilt", reach(node, dep, touched)))
        if token != state.tokens.get(dep):
            # What is planned may be less than what has changed since this table was made.
            changed = reach(node, dep, state.changed_weeks.get((dep, token or "")))
            found.append(("" if is_planned else f"{names[dep]} changed", changed))
    if node.wanted is not None:
        found += _own_weeks(node.wanted, made_from)
    # A change may touch no week of this table.
    due = [(reason, weeks) for reason, weeks in found if weeks != ()]
    if not due:
        return check
    reason = "; ".join(reason for reason, _ in due if reason)
    touches = () if node.only_gains else None
    return Work(node.key, reason, _union([weeks for _, weeks in due]), touches=touches)


def own_reason(node: Node, state: State) -> str | None:
    """Why all of a table is behind, whatever its inputs are."""
    made_from = state.made_from.get(node.key)
    if node.key in state.arrived:
        return f"arrived: {', '.join(state.arrived[node.key])}"
    if node.key not in state.tokens:
        return "not in the lake yet"
    if made_from is not None and made_from.code != node.code:
        return "its code, contract or settings changed"
    # Of a weekly table the run that makes some weeks takes back what no audit passed (resources.isolation).
    is_refused = node.key in state.unpublished and node.wanted is None
    return "its newest version did not pass its check" if is_refused else None


def _own_weeks(wanted: Weeks, made_from: Provenance) -> list[tuple[str, Weeks]]:
    """Weeks that are behind although no input changed since: never made, or left as they were by the last run."""
    behind = in_order({*from_texts(made_from.behind)} & {*wanted})
    missing = tuple(week for week in wanted if made_from.through is None or week.isoformat() > made_from.through)
    return [
        (f"weeks {said(behind)} were left as they were", behind),
        (f"weeks after {made_from.through} are missing", missing),
    ]


def reach(node: Node, dep: Key, changed: Weeks | None) -> Weeks | None:
    """The weeks of a node that a change of an input touches; None: all of an unpartitioned one."""
    if node.wanted is None or changed is None:
        return node.wanted
    if not changed or dep not in node.read_through:
        return in_order({*changed} & {*node.wanted})
    first = changed[0] - timedelta(weeks=node.read_through[dep])
    return tuple(week for week in node.wanted if week >= first)


def reached(nodes: Sequence[Node], changed: Mapping[Key, Weeks | None]) -> dict[Key, Weeks | None]:
    """Everything below some changed tables, and the weeks of it that the change touches.

    Args:
        nodes: all assets in topological order.
        changed: table -> its weeks that changed; None: any.
    """
    found: dict[Key, Weeks | None] = {}
    passed = dict(changed)
    for node in nodes:
        hits = [weeks for dep in node.deps if dep in passed and (weeks := reach(node, dep, passed[dep])) != ()]
        if hits and node.key not in changed:
            found[node.key] = _union(hits)
            passed[node.key] = () if node.only_gains else found[node.key]
    return found


def _union(found: Sequence[Weeks | None]) -> Weeks | None:
    """All weeks of `found`, which are None for an unpartitioned table."""
    weeks = [week for part in found if part is not None for week in part]
    return in_order(weeks) if weeks else None


def as_runs(work: Sequence[Work], nodes: Sequence[Node], cuts: Collection[date] = ()) -> list[Run]:
    """As few runs as the work needs: a run has one span of weeks and never waits for a later run.

    Each asset joins the earliest group that all its inputs allow and whose weeks are its own; a group is a run for each
    of its spans. What has no weeks is made before them, in a group of its own when it is made from them.

    Args:
        work: what is to be done, upstream first.
        nodes: all assets in topological order.
        cuts: weeks before which a span ends.
    """
    deps = {node.key: node.deps for node in nodes}
    ancestors: dict[Key, set[Key]] = {}
    for node in nodes:
        ancestors[node.key] = set(node.deps).union(*(ancestors[dep] for dep in node.deps)) if node.deps else set()
    weekly = {item.key for item in work if item.weeks is not None}
    groups: list[Run] = []
    place: dict[Key, int] = {}
    for item in work:
        above = ancestors[item.key]
        earliest = max((place[dep] for dep in above if dep in place), default=0)
        for index in range(earliest, len(groups)):
            group = groups[index]
            is_gathering = item.weeks is None and bool(above & weekly & {*group.keys})
            if group.weeks is None or group.weeks == item.weeks:
                break
            if item.weeks is None and not (is_gathering and len(_cut(group.weeks, cuts)) > 1):
                break
        else:
            groups.append(Run([]))
            index = len(groups) - 1
        groups[index].keys.append(item.key)
        groups[index].weeks = groups[index].weeks or item.weeks
        place[item.key] = index
    assert all(place[dep] <= place[item.key] for item in work for dep in deps[item.key] if dep in place)
    return [run for group in groups for run in _by_span(group, weekly, cuts)]


def _by_span(group: Run, weekly: Collection[Key], cuts: Collection[date]) -> list[Run]:
    """A run for each span of a group; what has no weeks goes with the first."""
    if group.weeks is None:
        return [group]
    by_week = [key for key in group.keys if key in weekly]
    first, *rest = _cut(group.weeks, cuts)
    return [Run(group.keys, first), *(Run(by_week, span) for span in rest)]


def _cut(weeks: Weeks, cuts: Collection[date]) -> list[Weeks]:
    parts: list[list[date]] = []
    for span in spans(weeks):
        for week in span:
            if week == span[0] or week in cuts:
                parts.append([])
            parts[-1].append(week)
    return [tuple(part) for part in parts]

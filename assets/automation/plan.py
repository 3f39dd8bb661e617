"""What has to be rebuilt, and why: from the graph and the state of the lake, without running anything.

Belongs here: the rules by which a table is behind, and the grouping of the work into runs. Does not belong here:
reading the lake (state) or executing (runs). Pure, so that every rule is tested without Spark.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from resources.commits import Provenance
from resources.verdicts import Fault

Key = tuple[str, str]
Weeks = tuple[date, date]


@dataclass(frozen=True)
class Node:
    """One asset as the plan sees it.

    Attributes:
        deps: upstream assets.
        code: the version of its code.
        wanted: the first and last business week that should be in it; None for an unpartitioned asset.
        read_through: weekly upstreams of which a changed week touches every later week too, and so many before it.
        has_step: False for a table that other steps write (the ledger).
        is_kept: newer inputs are no reason to make it anew (a study stays in force until it is asked for).
    """

    key: Key
    deps: tuple[Key, ...]
    code: str
    wanted: Weeks | None = None
    read_through: Mapping[Key, int] = field(default_factory=dict)
    has_step: bool = True
    is_kept: bool = False


@dataclass(frozen=True)
class State:
    """What the lake holds now.

    Attributes:
        made_from: provenance of every table that readers see.
        tokens: version of every table that readers see.
        arrived: source table -> files and messages of topics that are not in the ledger.
        changed_weeks: (table, token) -> the business weeks that arrived after that token; None: no week known.
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
    """One asset to materialise: for which weeks, and why. `changes` is false where only its check is due."""

    key: Key
    reason: str
    weeks: Weeks | None
    changes: bool = True


@dataclass
class Run:
    """Assets that one Dagster run materialises, all partitioned ones for the same weeks."""

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
    own = _own_reason(node, state, made_from)
    if own is not None:
        return Work(node.key, own, node.wanted)
    if node.key in state.unchecked:
        return Work(node.key, "no check has seen its newest version", node.wanted, changes=False)
    if made_from is None or node.is_kept:
        return None
    reasons: list[str] = []
    ranges: list[Weeks | None] = []
    for dep in node.deps:
        token = made_from.inputs.get(names[dep])
        if dep in planned and planned[dep].changes:
            reasons.append(f"{names[dep]} is rebuilt")
            ranges.append(_reach(node, dep, planned[dep].weeks))
        elif token != state.tokens.get(dep):
            reasons.append(f"{names[dep]} changed")
            ranges.append(_reach(node, dep, state.changed_weeks.get((dep, token or ""))))
    if node.wanted is not None and (made_from.through is None or made_from.through < node.wanted[1].isoformat()):
        reasons.append(f"weeks after {made_from.through} are missing")
        ranges.append(_after(made_from.through, node.wanted))
    if not reasons:
        return None
    return Work(node.key, "; ".join(reasons), _union(ranges, node.wanted))


def _own_reason(node: Node, state: State, made_from: Provenance | None) -> str | None:
    """Why all of a table is behind, whatever its inputs are."""
    if node.key in state.arrived:
        return f"arrived: {', '.join(state.arrived[node.key])}"
    if node.key not in state.tokens:
        return "not in the lake yet"
    if made_from is not None and made_from.code != node.code:
        return "its code, contract or settings changed"
    # Weeks are replaced in the newest version: the others would be published as that one has them.
    return "its newest version did not pass its check" if node.key in state.unpublished else None


def _reach(node: Node, dep: Key, changed: Weeks | None) -> Weeks | None:
    """The weeks of a node that a change of an input touches; None: all of them."""
    if node.wanted is None or changed is None:
        return node.wanted
    if dep not in node.read_through:
        return changed
    return changed[0] - timedelta(weeks=node.read_through[dep]), node.wanted[1]


def _after(through: str | None, wanted: Weeks) -> Weeks:
    later = [wanted[0]] if through is None else []
    if through is not None:
        following = date.fromordinal(date.fromisoformat(through).toordinal() + 7)
        later.append(max(following, wanted[0]))
    return (later[0], wanted[1])


def _union(ranges: Sequence[Weeks | None], wanted: Weeks | None) -> Weeks | None:
    """The smallest range that holds all `ranges`, cut to what is wanted."""
    if wanted is None:
        return None
    known = [wanted if weeks is None else weeks for weeks in ranges]
    first = max(min(weeks[0] for weeks in known), wanted[0])
    last = min(max(weeks[1] for weeks in known), wanted[1])
    return (first, last) if first <= last else wanted


def as_runs(work: Sequence[Work], nodes: Sequence[Node]) -> list[Run]:
    """As few runs as the work needs: a run has one range of weeks and never waits for a later run.

    Each asset joins the earliest run that all its inputs allow and whose weeks are its own.
    """
    deps = {node.key: node.deps for node in nodes}
    ancestors: dict[Key, set[Key]] = {}
    for node in nodes:
        ancestors[node.key] = set(node.deps).union(*(ancestors[dep] for dep in node.deps)) if node.deps else set()
    runs: list[Run] = []
    place: dict[Key, int] = {}
    for item in work:
        earliest = max((place[dep] for dep in ancestors[item.key] if dep in place), default=0)
        for index in range(earliest, len(runs)):
            if item.weeks is None or runs[index].weeks in (None, item.weeks):
                break
        else:
            runs.append(Run([]))
            index = len(runs) - 1
        runs[index].keys.append(item.key)
        runs[index].weeks = runs[index].weeks or item.weeks
        place[item.key] = index
    assert all(place[dep] <= place[item.key] for item in work for dep in deps[item.key] if dep in place)
    return runs

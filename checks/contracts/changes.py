"""What a change of a contract means, and the changes of its rules.

Belongs here: `Change` and the comparison of two lists of rules. Does not belong here: tables and columns (`diff`).

The measure: a change breaks *writers* when rows that were accepted are refused now, and *readers* when something they
relied on is gone. A rule that allows more values than before breaks nobody, but its text warns readers of new values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from checks.contracts.model import Rule

Effect = Literal["breaking", "additive", "neutral"]
Party = Literal["readers", "writers"]
_BOUNDED = ("range", "length", "row_count")


@dataclass(frozen=True)
class Change:
    """One change: where, what, whom it breaks, and the columns of the old table that it is about.

    `kind` is a word for programs; `text` is for people.
    """

    table: str
    kind: str
    text: str
    effect: Effect = "neutral"
    breaks: tuple[Party, ...] = ()
    columns: tuple[str, ...] = ()


def breaking(table: str, kind: str, text: str, *breaks: Party, columns: Sequence[str] = ()) -> Change:
    """A change that breaks readers, writers or both."""
    return Change(table, kind, text, "breaking", breaks, tuple(columns))


def rule_changes(table: str, old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[Change]:
    """The changes between two lists of rules, matched by id; a rule under another id is the same when all else is."""
    before, now = {rule.id: rule for rule in old}, {rule.id: rule for rule in new}
    gone = [rule for rule in old if rule.id not in now]
    come = [rule for rule in new if rule.id not in before]
    for rule in list(gone):
        twin = next((other for other in come if _content(other) == _content(rule)), None)
        if twin is not None:
            gone.remove(rule)
            come.remove(twin)
            yield Change(table, "rule_renamed", f"rule {rule.id} is called {twin.id}", columns=rule.columns)
    for rule in gone:
        yield _removed(table, rule)
    for rule in come:
        yield _added(table, rule)
    for rule_id in (rule.id for rule in old if rule.id in now):
        yield from _changed(table, before[rule_id], now[rule_id])


def _content(rule: Rule) -> tuple[Any, ...]:
    return (rule.kind, rule.severity, rule.columns, dict(rule.arguments), rule.owner)


def _removed(table: str, rule: Rule) -> Change:
    text = f"rule {rule.id} ({rule.kind}, {rule.severity}) is gone"
    if rule.severity == "warn":
        return Change(table, "rule_removed", text, "additive", columns=rule.columns)
    return breaking(table, "rule_removed", f"{text}: nothing promises it any more", "readers", columns=rule.columns)


def _added(table: str, rule: Rule) -> Change:
    text = f"rule {rule.id} ({rule.kind}, {rule.severity}) is new"
    if rule.severity == "warn":
        return Change(table, "rule_added", text, "additive", columns=rule.columns)
    return breaking(table, "rule_added", f"{text}: rows that break it are refused", "writers", columns=rule.columns)


def _changed(table: str, old: Rule, new: Rule) -> Iterator[Change]:
    if old.kind != new.kind:
        yield _removed(table, old)
        yield _added(table, new)
        return
    columns = tuple(dict.fromkeys((*old.columns, *new.columns)))
    if old.severity != new.severity:
        yield _severity(table, old, new, columns)
    if old.arguments != new.arguments:
        yield _arguments(table, old, new, columns)
    if old.owner != new.owner:
        text = f"rule {old.id} changes owner from {old.owner or 'the table'} to {new.owner or 'the table'}"
        yield Change(table, "owner_changed", text)
    if old.description != new.description:
        yield Change(table, "description_changed", f"rule {old.id} is described anew")


def _severity(table: str, old: Rule, new: Rule, columns: Sequence[str]) -> Change:
    if new.severity == "error":
        text = f"rule {old.id} blocks now: rows that it warned of are refused"
        return breaking(table, "severity_raised", text, "writers", columns=columns)
    text = f"rule {old.id} only warns now: rows that break it are published"
    return breaking(table, "severity_lowered", text, "readers", columns=columns)


def _arguments(table: str, old: Rule, new: Rule, columns: tuple[str, ...]) -> Change:
    """A rule that demands something else. One that only warns refuses nothing and promised nothing."""
    allowed, words = _compared(old, new)
    text = f"rule {old.id} ({old.kind}): {words}"
    if allowed == "reordered":
        return Change(table, "rule_reordered", text, columns=columns)
    if "warn" in (old.severity, new.severity):
        return Change(table, f"rule_{allowed}", text, "additive", columns=columns)
    if allowed == "widened":
        return Change(table, "rule_widened", f"{text}; readers may meet new values", "additive", columns=columns)
    if allowed == "narrowed":
        return breaking(table, "rule_narrowed", f"{text}; rows outside are refused", "writers", columns=columns)
    return breaking(table, "rule_changed", text, "readers", "writers", columns=columns)


def _compared(old: Rule, new: Rule) -> tuple[Literal["widened", "narrowed", "reordered", "changed"], str]:
    """Whether a rule allows more or less than before; "changed" where neither can be shown."""
    if old.kind == "enum":
        before, now = old.arguments["values"], new.arguments["values"]
        gone = [value for value in before if value not in now]
        come = [value for value in now if value not in before]
        if gone and come:
            return "changed", f"{_listed(gone)} left, {_listed(come)} came"
        if gone:
            return "narrowed", f"{_listed(gone)} left"
        return ("widened", f"{_listed(come)} came") if come else ("reordered", "the order of the values")
    if old.kind in _BOUNDED:
        is_wider = _is_lower(new, old) and _is_higher(new, old)
        is_narrower = _is_lower(old, new) and _is_higher(old, new)
        words = f"{_interval(old.arguments)} becomes {_interval(new.arguments)}"
        if is_wider != is_narrower:
            return ("widened" if is_wider else "narrowed"), words
        return "changed", words
    return "changed", f"{_shown(old.arguments)} becomes {_shown(new.arguments)}"


def _is_lower(one: Rule, other: Rule) -> bool:
    """Whether every value that `other` allows is not below the minimum of `one`."""
    return _reaches(one.arguments, other.arguments, "minimum", -1)


def _is_higher(one: Rule, other: Rule) -> bool:
    return _reaches(one.arguments, other.arguments, "maximum", 1)


def _reaches(one: Mapping[str, Any], other: Mapping[str, Any], side: str, sign: int) -> bool:
    here, there = one[side], other[side]
    if here is None or there is None:
        return here is None
    if here != there:
        return here > there if sign > 0 else here < there
    return not one.get(f"exclusive_{side}") or bool(other.get(f"exclusive_{side}"))


def _interval(given: Mapping[str, Any]) -> str:
    low, high = given["minimum"], given["maximum"]
    opening, closing = "(" if given.get("exclusive_minimum") else "[", ")" if given.get("exclusive_maximum") else "]"
    left = "(-inf" if low is None else f"{opening}{low}"
    return f"{left}, {'inf)' if high is None else f'{high}{closing}'}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(repr(value) for value in values)


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in arguments.items() if value is not None)

"""Shapes of JSON values, with an error for the exact spot: the grammar in which `standard` is written.

Belongs here: what a text, a number, a list and a record are (as in JSON Schema: a boolean is no number, 1.0 is an
integer). Does not belong here: any field of the standard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from checks.contracts.place import ContractError, Place

Shape = Callable[[Any, Place], Iterator[ContractError]]


def anything(_value: Any, _place: Place) -> Iterator[ContractError]:
    """Every value."""
    yield from ()


def text(*choices: str, pattern: str | None = None) -> Shape:
    """A text: one of `choices` when there are any, and one in which `pattern` is found."""

    def check(value: Any, place: Place) -> Iterator[ContractError]:
        if not isinstance(value, str):
            yield place.error(f"must be a text, not {_shown(value)}")
        elif choices and value not in choices:
            yield place.error(f"must be one of {', '.join(choices)}, not {value!r}")
        elif pattern is not None and re.search(pattern, value) is None:
            yield place.error(f"{value!r} does not match {pattern}")

    return check


def number(minimum: float | None = None, above: float | None = None, whole: bool = False) -> Shape:
    """A number, `whole` or any, not less than `minimum` and greater than `above`."""
    noun = "whole number" if whole else "number"

    def check(value: Any, place: Place) -> Iterator[ContractError]:
        if isinstance(value, bool) or not isinstance(value, int | float) or (whole and not float(value).is_integer()):
            yield place.error(f"must be a {noun}, not {_shown(value)}")
        elif minimum is not None and value < minimum:
            yield place.error(f"must be at least {minimum:g}, not {value}")
        elif above is not None and value <= above:
            yield place.error(f"must be greater than {above:g}, not {value}")

    return check


def boolean(value: Any, place: Place) -> Iterator[ContractError]:
    """True or false; "yes" and 1 are neither."""
    if not isinstance(value, bool):
        yield place.error(f"must be true or false, not {_shown(value)}")


def scalar(value: Any, place: Place) -> Iterator[ContractError]:
    """A text, a number, a boolean or nothing."""
    if isinstance(value, list | dict):
        yield place.error(f"must be a single value, not {_shown(value)}")


def mapping(value: Any, place: Place) -> Iterator[ContractError]:
    """A mapping with any content."""
    if not isinstance(value, dict):
        yield place.error(f"must be a mapping, not {_shown(value)}")


def either(first: type, one: Shape, other: Shape) -> Shape:
    """`one` for values of the type `first`, else `other`."""
    return lambda value, place: (one if isinstance(value, first) else other)(value, place)


def list_of(item: Shape, minimum: int = 0, maximum: int | None = None, distinct: bool = False) -> Shape:
    """A list of which every item has a shape; `distinct` items differ from each other."""

    def check(value: Any, place: Place) -> Iterator[ContractError]:
        if not isinstance(value, list):
            yield place.error(f"must be a list, not {_shown(value)}")
            return
        if len(value) < minimum or (maximum is not None and len(value) > maximum):
            wanted = f"at least {minimum}" if maximum is None else f"exactly {maximum}"
            yield place.error(f"must hold {wanted} items, not {len(value)}")
        if distinct and any(entry in value[:index] for index, entry in enumerate(value)):
            yield place.error("holds an item twice")
        for index, entry in enumerate(value):
            yield from item(entry, place.item(index))

    return check


@dataclass(frozen=True)
class Record:
    """A mapping with known fields.

    `fields` are those it may have, `required` those it must have; `more` gives the shape of what depends on its own
    content (it may add fields). With `is_open` other fields are not looked at.
    """

    fields: Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    more: Callable[[Mapping[str, Any]], Record] | None = None
    is_open: bool = False

    def __call__(self, value: Any, place: Place) -> Iterator[ContractError]:
        """The errors of a value; none when it has the shape."""
        if not isinstance(value, dict):
            yield place.error(f"must be a mapping, not {_shown(value)}")
            return
        extra = self.more(value) if self.more else Record()
        fields = {**self.fields, **extra.fields}
        for name in (*self.required, *extra.required):
            if name not in value:
                yield place.error(f"{name!r} is missing")
        for name, content in value.items():
            if name in fields:
                yield from fields[name](content, place.at(str(name)))
            elif not self.is_open:
                yield place.at(str(name)).error(
                    f"is no field of ODCS 3.1 here; the fields are {', '.join(sorted(fields))}"
                )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)

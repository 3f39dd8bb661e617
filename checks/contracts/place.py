"""Where in a contract file something is wrong.

Belongs here: the error that names file, path and rule, and the spot it is raised at. Does not belong here: any rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class ContractError(ValueError):
    """A contract file is wrong: which file, where in it, and which rule it breaks."""

    def __init__(self, file: str, path: str, rule: str) -> None:
        super().__init__(f"{file}: {path or 'document'}: {rule}")
        self.file = file
        self.path = path
        self.rule = rule


@dataclass(frozen=True)
class Place:
    """A spot in a contract file, for messages."""

    file: str
    path: str = ""

    def at(self, key: str, index: int | None = None) -> Place:
        """The spot one level down: a field, or one item of a field that is a list."""
        step = key if index is None else f"{key}[{index}]"
        return Place(self.file, f"{self.path}.{step}" if self.path else step)

    def item(self, index: int) -> Place:
        """The spot of one item of the list at this spot."""
        return Place(self.file, f"{self.path}[{index}]")

    def error(self, rule: str) -> ContractError:
        """The error to raise at this spot."""
        return ContractError(self.file, self.path, rule)


def attempt(errors: list[ContractError], read: Callable[[], T], otherwise: T) -> T:
    """What `read` reads; `otherwise` when it is wrong, and the error goes to `errors`."""
    try:
        return read()
    except ContractError as error:
        errors.append(error)
        return otherwise

"""The calls that commit, as whoever kills after them knows them."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from benchmarks.kills import COMMITS, _holder


@pytest.mark.parametrize(("owner", "name", "tell"), COMMITS)
def test_a_commit_is_told_by_the_arguments_that_its_call_has(owner: str, name: str, tell: Callable[..., str]):
    """Otherwise every commit raises, and nothing is killed in the gap after it."""
    called = inspect.signature(getattr(_holder(owner), name)).parameters.values()
    given = [item.name for item in called if item.default is item.empty and item.kind is item.POSITIONAL_OR_KEYWORD]
    inspect.signature(tell).bind(*given)

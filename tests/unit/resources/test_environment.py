"""A changed environment is named, and one that nobody recorded is no difference."""

from __future__ import annotations

from resources.environment import LIBRARIES, changed_environment, training_environment


def test_libraries_interpreter_and_processor_are_named() -> None:
    found = training_environment()
    assert set(found) == {"python", "cpu", *LIBRARIES}
    assert all(found.values())


def test_what_changed_is_said_and_nothing_else() -> None:
    recorded = {**training_environment(), "catboost": "0.1", "cpu": "another"}
    del recorded["numpy"]
    names = [sentence.split(" ")[0] for sentence in changed_environment(recorded)]
    assert names == ["catboost", "cpu", "numpy"]
    assert "catboost was 0.1 and is" in changed_environment(recorded)[0]
    assert changed_environment(training_environment()) == changed_environment(None) == []

"""`liftlake events`: what it refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.events import events


def test_without_a_channel_nothing_can_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFTLAKE_HOME", str(tmp_path))
    refused = CliRunner().invoke(events, ["send"])
    assert refused.exit_code == 2
    assert "LIFTLAKE_EVENTS_WEBHOOK" in refused.stderr
    assert list(tmp_path.iterdir()) == []

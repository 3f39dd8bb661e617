"""What a command loads: seconds of every call."""

from __future__ import annotations

import subprocess
import sys

from resources.settings import PROJECT_ROOT

LIGHT = (
    "cli.topic", "cli.rollback", "cli.models", "cli.quarantine", "cli.ingest", "cli.lift", "cli.drift", "cli.events",
)  # fmt: skip
HEAVY = ("dagster_dbt", "dbt", "mlflow", "matplotlib")


def test_a_command_that_builds_no_asset_loads_none_of_what_builds_them():
    code = f"import sys, {', '.join(LIGHT)}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The Dagster instance of a lake: runs, events and asset history under LIFTLAKE_HOME, and the UI process on it.

Belongs here: where Dagster keeps its state and how its processes start. Does not belong here: definitions.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dagster import DagsterInstance

from resources.settings import PROJECT_ROOT, Settings, child_environment

CONFIG = """\
# Written by Liftlake. SQLite in this folder by default; a team sets a Postgres storage here.
telemetry:
  enabled: false
freshness:
  enabled: true
run_monitoring:
  enabled: false
"""


def prepare_dagster_home(settings: Settings) -> Path:
    """The lake's DAGSTER_HOME with its configuration, created when absent; an existing one stays as it is."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    config = settings.dagster_home / "dagster.yaml"
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
    return settings.dagster_home


def open_instance(settings: Settings) -> DagsterInstance:
    """The instance that the command line, the daemon and the UI share."""
    return DagsterInstance.from_config(str(prepare_dagster_home(settings)))


def run_ui(settings: Settings) -> int:
    """Run webserver and daemon on the lake in the foreground, on the loopback address only."""
    home = prepare_dagster_home(settings)
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-w", str(PROJECT_ROOT / "workspace.yaml")]
    command += ["-h", "127.0.0.1", "-p", str(settings.ui_port)]
    env = child_environment({"DAGSTER_HOME": str(home), "LIFTLAKE_HOME": str(settings.home)})
    return subprocess.run(command, env=env, cwd=PROJECT_ROOT, check=False).returncode

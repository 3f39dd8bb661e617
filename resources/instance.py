"""The Dagster instance of a lake: runs, events and asset history under LIFTLAKE_HOME, and the UI process on it.

Belongs here: where Dagster keeps its state and how its processes start. Does not belong here: definitions.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from dagster import DagsterInstance

from resources.settings import PROJECT_ROOT, Settings, child_environment

CONFIG = """\
# Written by Liftlake. SQLite in this folder by default; a team sets a Postgres storage here.
telemetry:
  enabled: false
freshness:
  enabled: true
# One run writes to a lake at a time: the others wait in the queue.
concurrency:
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: false
nux:
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


def become_ui(settings: Settings) -> NoReturn:
    """Turn this process into webserver and daemon on the lake, on the loopback address only: signals reach them."""
    home = prepare_dagster_home(settings)
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-w", str(PROJECT_ROOT / "workspace.yaml")]
    command += ["-h", "127.0.0.1", "-p", str(settings.ui_port)]
    own = {
        "DAGSTER_HOME": str(home),
        "LIFTLAKE_HOME": str(settings.home),
        # `dg dev` wants another layout of the project.
        "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",
    }
    os.chdir(PROJECT_ROOT)
    os.execve(command[0], command, child_environment(own))  # noqa: S606  our own program; a shell is what we avoid

"""A lake driven through the command line, as a user would, and read through the same door as everything else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from resources.lake import Lake
from resources.settings import PROJECT_ROOT, child_environment, load_settings
from resources.spark import SparkDoor


@dataclass(frozen=True)
class CommandLake:
    """A lake in a home of its own; `variables` are set for its commands, which are those of `project`."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    project: Path = PROJECT_ROOT

    @property
    def environment(self) -> dict[str, str]:
        cache = str(load_settings().jar_cache)
        return {"LIFTLAKE_HOME": str(self.home), "LIFTLAKE_JAR_CACHE": cache, **self.variables}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cli", *arguments, "--json"]
        env = child_environment(self.environment)
        return subprocess.Popen(
            command, env=env, cwd=self.project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def killed(self, owner: str, name: str, when: str, *arguments: str) -> None:
        """Run a command that dies by SIGKILL before or after its first call of `owner.name`."""
        command = [sys.executable, "-m", "benchmarks.kills", owner, name, when, *arguments, "--json"]
        done = subprocess.run(
            command,
            env=child_environment(self.environment),
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]

    def liftlake(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The JSON object that a command prints; its sentence under `error` when it prints none."""
        running = self.start(*arguments)
        stdout, stderr = running.communicate()
        assert running.returncode == code, stderr[-3000:]
        return json.loads(stdout) if stdout else {"error": " ".join(stderr.split())}

    def table(self, name: str) -> pl.DataFrame:
        return self.sql(f"SELECT * FROM {name}")

    def sql(self, statement: str) -> pl.DataFrame:
        lake = Lake(settings := load_settings(self.environment), SparkDoor(settings))
        try:
            return lake.query(statement)
        finally:
            lake.close()

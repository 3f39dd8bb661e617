"""The unit tests of the dbt models, run by dbt on the real engine.

They test SQL, not data, so that no build of a lake runs them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from resources.dbt_project import PROJECT, dbt_executable, project_files
from resources.lake import Lake
from resources.settings import child_environment

pytestmark = pytest.mark.spark


def test_every_unit_test_of_the_models_passes(lake: Lake, tmp_path: Path):
    lake.prepare()
    command = [dbt_executable(), "--quiet", "test", "--select", "test_type:unit", "--vars", json.dumps({"absent": []})]
    command += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    command += ["--target-path", str(tmp_path), "--log-path", str(tmp_path)]
    env = child_environment({"SPARK_REMOTE": lake.spark_url})
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    results = json.loads((tmp_path / "run_results.json").read_text(encoding="utf-8"))["results"]
    declared = sum(path.read_text(encoding="utf-8").count("    model: ") for path in project_files())
    assert [result["status"] for result in results] == ["pass"] * declared

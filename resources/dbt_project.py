"""The dbt project as files: what is in it, and its manifest.

Belongs here: what can be said of the project without loading dbt, which takes seconds. Does not belong here: building
its models (dbt), which models an asset builds (assets.silver), SQL (dbt/).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from resources.settings import PROJECT_ROOT, Settings, child_environment

PROJECT = PROJECT_ROOT / "dbt"


class DbtError(RuntimeError):
    """dbt cannot read its project; the message holds its last words."""


def project_files() -> list[Path]:
    """Every file of the dbt project that changes what it builds."""
    folders = [PROJECT / name for name in ("models", "macros", "data_tests")]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".sql", ".yml"}]
    return sorted([PROJECT / "dbt_project.yml", *found])


def dbt_executable() -> str:
    return str(Path(sys.executable).parent / "dbt")


def manifest_path(settings: Settings, absent: Sequence[str] = ()) -> Path:
    """The manifest of the project as it is now, without the tables that are absent, parsed once for each state of it.

    Raises:
        DbtError: the project does not parse.
    """
    variables = json.dumps({"absent": list(absent)})
    digest = hashlib.sha256(variables.encode())
    for path in project_files():
        digest.update(str(path.relative_to(PROJECT)).encode())
        digest.update(path.read_bytes())
    folder = settings.home / "dbt" / digest.hexdigest()[:16]
    manifest = folder / "manifest.json"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    command = [dbt_executable(), "--quiet", "parse", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    command += ["--target-path", str(folder), "--log-path", str(folder), "--vars", variables]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment({}), check=False, cwd=folder)
    if done.returncode != 0 or not manifest.exists():
        raise DbtError(f"The dbt project does not parse: {(done.stdout + done.stderr).strip()[-800:]}")
    return manifest

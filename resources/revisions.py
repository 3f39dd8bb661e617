"""The contracts as a git revision has them.

Belongs here: reading files out of git. Does not belong here: what a contract says (checks.contracts).
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from resources.archives import extract_files
from resources.settings import PROJECT_ROOT

CONTRACTS = "checks/contracts"


@contextmanager
def contracts_at(revision: str, root: Path = PROJECT_ROOT) -> Iterator[Path]:
    """A folder with the contract files of a revision (a commit, branch or tag), for the length of the block.

    Raises:
        LookupError: git is not there, does not know the revision, or it holds no contracts.
    """
    commit = (
        _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    )
    archive = _git(root, "archive", "--format=tar", commit, "--", CONTRACTS)
    with TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            extract_files(files, Path(scratch))
        yield Path(scratch) / CONTRACTS


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise LookupError("git is not installed: give two folders of contracts instead of a revision.") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip() or "there is no such revision"
        raise LookupError(f"git {arguments[0]} {arguments[-1]}: {words}.")
    return done.stdout

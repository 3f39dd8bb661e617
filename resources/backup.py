"""A lake as one archive, and a lake from it.

Belongs here: which files make a lake, the manifest that names them, and the catalog that is made anew from it. Does not
belong here: when to keep one.

The catalog is not copied: it holds the absolute path of every table. The manifest holds what it says (tables, and the
version and provenance that each view is pinned to), so that an archive can be restored into another home.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from checks.contracts.model import Contract
from resources.archives import extract_files
from resources.commits import Provenance
from resources.lake import Lake
from resources.settings import Settings
from resources.table_files import STAGED

FORMAT = 1
MANIFEST = "manifest.json"
# Made anew when they are needed, or not part of the lake: JARs, logs, the server's state, staged rows.
LEFT_OUT = frozenset({"jars", "logs", "spark", "writer.lock", ".write-probe"})
STAGING = Path("warehouse") / STAGED


class ArchiveError(RuntimeError):
    """An archive cannot be written or restored; the message says why, and nothing was changed."""


def backup(lake: Lake, contracts: Sequence[Contract], target: Path) -> dict[str, Any]:
    """Write the lake to the tar archive `target`, which appears when it is whole.

    Returns:
        The manifest.

    Raises:
        ArchiveError: the file exists, or LIFTLAKE_WAREHOUSE keeps the tables outside of the home.
        Locked: another run is writing to the lake.
    """
    if target.exists():
        raise ArchiveError(f"{target} exists: name another file, or remove it.")
    _require_one_folder(lake.settings)
    lake.claim()
    home = lake.settings.home
    partial = target.with_name(target.name + ".partial")
    manifest = {"format": FORMAT, "tables": _tables(lake, contracts), "files": {}}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(partial, "w") as archive, TemporaryDirectory() as scratch:
        for path in lake_files(home):
            name = path.relative_to(home).as_posix()
            with _settled(path, Path(scratch)) as copy:
                manifest["files"][name] = _sha256(copy)
                archive.add(copy, name, recursive=False)
        content = json.dumps(manifest, sort_keys=True).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    partial.replace(target)
    return manifest


def unpack(settings: Settings, source: Path) -> dict[str, Any]:
    """Put the files of an archive into the home, which has no lake yet, and check every one against the manifest.

    Returns:
        The manifest, from which `register` makes the catalog.

    Raises:
        ArchiveError: the home has a lake, or the archive is no whole archive of a known format.
    """
    _require_one_folder(settings)
    if settings.home.exists() and any(lake_files(settings.home)):
        raise ArchiveError(f"{settings.home} holds a lake: set LIFTLAKE_HOME to an empty folder.")
    folder = settings.home.with_name(settings.home.name + ".restoring")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with tarfile.open(source) as archive:
            extract_files(archive, folder)
    except (OSError, tarfile.TarError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArchiveError(f"{source} cannot be unpacked: {error}.") from error
    try:
        manifest = _verified(folder, source)
    except ArchiveError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / MANIFEST).unlink()
    settings.home.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        shutil.move(path, settings.home / path.name)
    folder.rmdir()
    return manifest


def register(lake: Lake, contracts: Mapping[tuple[str, str], Contract], manifest: Mapping[str, Any]) -> None:
    """Make the catalog of a lake from its manifest: every table where its files lie, every view at its version."""
    lake.prepare()
    for name, table in manifest["tables"].items():
        layer, _, short = name.partition(".")
        contract = contracts[layer, short]
        lake.adopt(contract)
        if table["version"] is not None:
            lake.publish(contract, table["version"], Provenance(**table["provenance"]))


def lake_files(home: Path) -> Iterator[Path]:
    """The files that make a lake, in name order."""
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home)
        is_left_out = inside.parts[0] in LEFT_OUT or STAGING in inside.parents or path.name.endswith(("-wal", "-shm"))
        if path.is_file() and not path.is_symlink() and not is_left_out:
            yield path


def _require_one_folder(settings: Settings) -> None:
    if settings.warehouse_location is not None:
        raise ArchiveError(
            f"LIFTLAKE_WAREHOUSE keeps the tables outside of {settings.home}, in {settings.warehouse}: while no run "
            "writes, copy both folders by other means."
        )


def _tables(lake: Lake, contracts: Sequence[Contract]) -> dict[str, Any]:
    """Every table that is there, with what its view is pinned to; bronze has no views."""
    found = {}
    for contract in contracts:
        if lake.exists(contract.audit_name):
            state = lake.publication(contract)
            provenance = asdict(state.provenance) if state else None
            found[contract.published_name] = {"version": state.version if state else None, "provenance": provenance}
    return found


@contextmanager
def _settled(path: Path, scratch: Path) -> Iterator[Path]:
    """The file itself, or for a SQLite database a copy that no writer can be in the middle of."""
    if path.suffix not in {".db", ".sqlite"}:
        yield path
        return
    copy = scratch / "database"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    yield copy
    copy.unlink()


def _verified(folder: Path, source: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        raise ArchiveError(f"{source} is no whole archive of a lake: it has no manifest.")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise ArchiveError(f"{source} has format {manifest.get('format')}; this release reads format {FORMAT}.")
    for name, sha256 in manifest["files"].items():
        file = folder / name
        if not file.is_file() or _sha256(file) != sha256:
            raise ArchiveError(f"{source}: {name} is missing or differs from the manifest. Take another archive.")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""`liftlake backup` and `liftlake restore`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import typer

from assets.lake_graph import build_graph
from cli.output import JSON_OPTION, command, err, print_json
from cli.session import require_home, session
from resources import backup as archives
from resources.lake import Lake
from resources.settings import load_settings
from resources.spark import SparkDoor


@command
def backup(
    target: Path = typer.Argument(..., help="The archive to write, for example lake.tar."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write the whole lake to one archive: tables with their history, registry, runs, artifacts."""
    with session() as opened:
        manifest = archives.backup(opened.lake, list(opened.graph.contracts.values()), target)
    found = {"path": str(target), "files": len(manifest["files"]), "tables": len(manifest["tables"])}
    found["bytes"] = target.stat().st_size
    if as_json:
        print_json(found)
    else:
        err.print(f"{found['tables']} tables, {found['files']:,} files, {found['bytes'] / 1e6:,.0f} MB in {target}")


@command
def restore(
    source: Path = typer.Argument(..., help="An archive written by `liftlake backup`."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make the lake of an archive in an empty home; every file is checked against the manifest first."""
    settings = load_settings()
    require_home(settings)
    manifest = archives.unpack(settings, source)
    # The lake's own settings came with the archive.
    settings = load_settings()
    graph = build_graph(settings)
    with closing(Lake(settings, SparkDoor(settings))) as lake:
        archives.register(lake, graph.contracts, manifest)
    found = {"home": str(settings.home), "files": len(manifest["files"]), "tables": len(manifest["tables"])}
    if as_json:
        print_json(found)
    else:
        err.print(f"{found['tables']} tables, {found['files']:,} files in {settings.home}")

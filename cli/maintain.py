"""`liftlake maintain`."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.table import Table

from cli.output import JSON_OPTION, command, out, print_json
from cli.session import session
from resources.dbt_project import manifest_path
from resources.instance import open_instance
from resources.run_pruning import prune_manifests, prune_runs
from resources.upkeep import Freed, keep_tables


@command
def maintain(
    dry_run: bool = typer.Option(False, "--dry-run", help="Remove nothing; say what would go."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Compact bronze, remove files of versions that nothing pins and old runs, by `retention` of lake.yaml."""
    with session() as opened, open_instance(opened.settings) as instance:
        opened.lake.claim()
        policy, contracts = opened.settings.lake.retention, list(opened.graph.contracts.values())
        freed = list(keep_tables(opened.lake, contracts, policy, is_dry=dry_run))
        freed += prune_runs(instance, opened.settings, policy, is_dry=dry_run)
        freed += prune_manifests(opened.settings, manifest_path(opened.settings).parent, is_dry=dry_run)
    total = sum(item.bytes for item in freed)
    if as_json:
        print_json({"dry_run": dry_run, "freed_bytes": total, "parts": [asdict(item) for item in freed]})
        return
    _show([item for item in freed if item.files or item.compacted])
    verb = "would be freed" if dry_run else "freed"
    out.print(f"{total / 1e6:,.1f} MB {verb} in {sum(item.files for item in freed):,} files and runs.")


def _show(freed: list[Freed]) -> None:
    table = Table("part", "gone", "bytes", "small files made one")
    for item in freed:
        table.add_row(item.part, f"{item.files:,}", f"{item.bytes:,}", f"{item.compacted:,}" if item.compacted else "")
    if freed:
        out.print(table)

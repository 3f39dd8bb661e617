"""`liftlake contract lint` and `liftlake contract build`."""

from __future__ import annotations

import typer

from checks.contracts.build import build as build_files
from checks.contracts.loader import load_contracts
from cli.output import JSON_OPTION, SAYS_NO, command, out, print_json
from resources.settings import PROJECT_ROOT

contract = typer.Typer(help="Contracts and what is generated from them.")


@contract.command()
@command
def lint(as_json: bool = JSON_OPTION) -> None:
    """Read every contract; exit code 2 and the file, path and rule when one is wrong."""
    contracts = load_contracts()
    rules = sum(len(item.all_rules) for item in contracts.values())
    blocking = sum(len(item.blocking_rules) for item in contracts.values())
    if as_json:
        print_json({"contracts": len(contracts), "rules": rules, "blocking_rules": blocking})
    else:
        out.print(f"{len(contracts)} contracts, {rules} rules, {blocking} of them blocking.")


@contract.command()
@command
def build(
    check: bool = typer.Option(False, "--check", help="Write nothing; exit code 1 when a generated file differs."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write what is generated from the contracts: dbt YAML and the data dictionary."""
    changed = [path.as_posix() for path in build_files(PROJECT_ROOT, check=check)]
    if as_json:
        print_json({"changed": changed})
    else:
        verb = "differs from its contract" if check else "written"
        for path in changed:
            out.print(f"{path} {verb}")
    if check and changed:
        raise typer.Exit(SAYS_NO)

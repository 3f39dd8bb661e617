"""`liftlake source init`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
import yaml
from rich.table import Table

from checks.contracts.loader import FOLDER, SUFFIX, load_contract, load_contracts
from cli.output import JSON_OPTION, WRONG_USE, command, err, out, print_json, stop
from resources.drafts import Draft, draft, source_name
from resources.guesses import ColumnGuess, guess_columns
from resources.mapping import SOURCES, load_mapping
from resources.samples import Sample, read_sample

source = typer.Typer(help="Sources: mappings of files to the lake's tables.")
NAME = re.compile(r"[a-z][a-z0-9_]*")
# Long values stay on their line: an expression is read as a whole.
WIDTH = 10_000


@source.callback()
def group() -> None:
    """Sources: mappings of files to the lake's tables."""


@source.command()
@command
def init(
    file: Path = typer.Argument(..., help="A CSV, JSON lines or Parquet file, plain or gzip."),
    name: str | None = typer.Option(
        None, "--name", help="Name of the source; from the file's or folder's when absent."
    ),
    folder: Path | None = typer.Option(
        None, "--folder", help="Where the drafts go; the project's folders when absent."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Draft a mapping from a sample, and a contract where no canonical table fits; says what it guessed."""
    if not file.is_file():
        stop(f"{file} is no file.", WRONG_USE)
    chosen = name or source_name(file.resolve())
    if chosen is None or not NAME.fullmatch(chosen):
        stop(f"{chosen or file.name} makes no name of a source: give one with --name, such as corner_shop.", WRONG_USE)
    sample = read_sample(file)
    columns = guess_columns(sample)
    made = draft(sample, columns, chosen, load_contracts())
    targets = _targets(made, chosen, folder)
    for target in targets:
        if target.exists():
            stop(f"{target} exists and is never overwritten: remove it, or give another --name.", WRONG_USE)
    _write(made, sample, chosen, targets)
    content = {
        "source": chosen, "table": f"bronze.{made.table}", "is_canonical": made.is_canonical,
        "files": [str(target) for target in targets],
        "sample": {"records": sample.rows.height, "unread": sample.unread, "is_whole_file": sample.is_whole},
        "guesses": [asdict(item) for item in sample.guesses], "columns": [_as_row(item) for item in columns],
        "keys": [{"columns": list(key), "uniqueness": round(share, 6)} for key, share in made.keys],
        "assumed": list(made.assumed),
    }  # fmt: skip
    if as_json:
        print_json(content)
    else:
        _show(content)


def _targets(made: Draft, name: str, folder: Path | None) -> list[Path]:
    """Where the mapping goes, and the contract if there is one."""
    mapping = (folder or SOURCES) / f"{name}.yaml"
    return [mapping] if made.contract is None else [mapping, (folder or FOLDER) / "bronze" / f"{name}{SUFFIX}"]


def _write(made: Draft, sample: Sample, name: str, targets: list[Path]) -> None:
    """Write the drafts once each of them was read by what will read it.

    Raises:
        MappingError, ContractError: a draft does not load; nothing was written.
    """
    notes = [f"Drafted by `liftlake source init` from {sample.path.name}. Nothing in the file says the following:"]
    header = "".join(f"# {line}\n" for line in [*notes, *(f"- {line}" for line in made.assumed)])
    texts = [header + _yaml(made.mapping), *([_yaml(made.contract)] if made.contract else [])]
    with TemporaryDirectory() as scratch:
        written = [Path(scratch) / target.parent.name / target.name for target in targets]
        for path, text in zip(written, texts, strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        load_mapping(name, written[0].parent)
        if made.contract is not None:
            load_contract(written[1])
    for target, text in zip(targets, texts, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=WIDTH)


def _as_row(column: ColumnGuess) -> dict[str, Any]:
    return {**asdict(column), "notes": list(column.notes)}


def _show(content: Mapping[str, Any]) -> None:
    """The guesses for people: no value of the file is shown, because it may name a person."""
    sample = content["sample"]
    whole = "all of them" if sample["is_whole_file"] else "the first of the file"
    out.print(f"{sample['records']:,} records read ({whole}), {sample['unread']:,} could not be read.")
    for item in content["guesses"]:
        _line(f"{item['about']:<12} {item['value']}  ({item['because']})")
    shown = Table("column", "is", "stands for", "empty", "distinct", "below 0", "not of that kind", "notes")
    for row in content["columns"]:
        kind = f"{row['kind']} {row['form'] or ''}".strip()
        counts = (f"{row[name]:,}" if row[name] else "" for name in ("nulls", "distinct", "negatives", "unread"))
        shown.add_row(row["name"], kind, row["meaning"] or "", *counts, "; ".join(row["notes"]))
    out.print(shown)
    for item in content["keys"]:
        _line(f"key          {', '.join(item['columns'])} tells {item['uniqueness']:.2%} of the sample apart")
    for sentence in content["assumed"]:
        _line(f"assumed      {sentence}")
    canonical = "a canonical table" if content["is_canonical"] else "a table of its own: run `liftlake contract build`"
    _line(f"table        {content['table']}, {canonical}")
    for path in content["files"]:
        err.print(f"{path} written", highlight=False, soft_wrap=True)


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)

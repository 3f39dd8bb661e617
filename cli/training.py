"""`liftlake trainset` and `liftlake train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import typer
from rich.table import Table

from assets.evidence import bundle_manifest, bundle_path, final_fold, learning_rows
from assets.gold.training_sets import training_rows, training_rows_path
from cli.output import JSON_OPTION, SAYS_NO, WRONG_USE, command, err, out, print_json, stop
from cli.session import Session, session
from ml.digest import canonical_digest
from ml.features import FEATURE_KEY, FEATURE_SET
from ml.forecaster import labelled
from ml.packaging import ENVIRONMENT, BundleError, model_version, read_manifest, save_bundle
from ml.retraining import differing_parts, differing_rows, fit_as_recorded
from ml.training import TrainConfig
from resources.environment import changed_environment

SETS, MODELS = "gold.training_sets", "models.demand_models"
SHORT = 12
trainset = typer.Typer(help="Training sets, and their rows made again.")


@trainset.callback()
def training_sets() -> None:
    """Training sets."""


@trainset.command("list")
@command
def list_sets(as_json: bool = JSON_OPTION) -> None:
    """The training sets, in the order in which they were made."""
    with session() as opened:
        rows = opened.lake.read(SETS).sort("ordinal", nulls_last=False)
    if as_json:
        print_json({"training_sets": rows.to_dicts()})
        return
    table = Table(title="Training sets")
    for heading in ("id", "cutoff", "rows", "series", "feature set"):
        table.add_column(heading, justify="right" if heading in {"rows", "series"} else "left")
    for row in rows.iter_rows(named=True):
        table.add_row(
            row["training_set_id"][:SHORT], str(row["cutoff_week_start_date"]), f"{row['row_count']:,}",
            f"{row['series_count']:,}", row["feature_set"][:SHORT],
        )  # fmt: skip
    out.print(table)


@trainset.command("rebuild")
@command
def rebuild(
    manifest: str = typer.Argument(..., help="Id of a training set, or its beginning."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Verify a training set's own copy of its rows, or make it again from the lake; exit code 1 when they differ."""
    with session() as opened:
        row = _one(opened, SETS, "training_set_id", manifest)
        answer = rebuilt_set(opened, row)
    if as_json:
        print_json(answer)
    else:
        found = "are those of the manifest" if answer["is_identical"] else "are not those of the manifest"
        out.print(f"{answer['rows']:,} rows from {answer['source']} {found}.", highlight=False)
    if not answer["is_identical"]:
        stop("; ".join(answer["differs_in"]), SAYS_NO)


def rebuilt_set(opened: Session, row: dict[str, Any]) -> dict[str, Any]:
    """The rows of a training set: its copy where that is whole, else made from the lake as it is now.

    A copy that is lost or altered is put back when the lake still gives the same rows.
    """
    identity, path = row["training_set_id"], training_rows_path(opened.settings, row["training_set_id"])
    copy = pl.read_parquet(path) if path.exists() else None
    answer = {"training_set_id": identity, "cutoff_week_start_date": row["cutoff_week_start_date"]}
    if copy is not None and canonical_digest(copy, list(FEATURE_KEY)) == identity:
        return answer | {"rows": copy.height, "source": "its copy", "is_identical": True, "differs_in": []}
    features, labels = opened.lake.read("gold.demand_features"), opened.lake.read("gold.demand_labels")
    rows = training_rows(features, labels, opened.graph.week_end(row["cutoff_week_start_date"]))
    is_identical = canonical_digest(rows, list(FEATURE_KEY)) == identity
    if is_identical:
        _put_back(path, rows)
    differs = [] if is_identical else _set_differences(row, rows, copy)
    return answer | {"rows": rows.height, "source": "the lake", "is_identical": is_identical, "differs_in": differs}


@command
def train(
    manifest: str = typer.Option(..., "--manifest", help="A model version or training set id, or its beginning."),
    times: int = typer.Option(1, "--times", min=1, help="Fit so many times."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Fit a recorded model again from its training set's copy; exit code 1 when it comes out as another.

    Publishes nothing: `liftlake run models.demand_models` trains the next one. Files of the model that are lost are
    put back.
    """
    with session() as opened:
        answer = rebuilt_model(opened, _model_row(opened, manifest), times)
    if as_json:
        print_json(answer)
    else:
        same = sum(version == answer["model_version"] for version in answer["rebuilt"])
        out.print(f"{same} of {times} fits are model {answer['model_version'][:SHORT]}.", highlight=False)
    if not answer["is_identical"]:
        reasons = answer["differs_in"] + answer["environment"]
        stop(f"The model came out as another; it differs in: {'; '.join(reasons)}.", SAYS_NO)


def rebuilt_model(opened: Session, row: dict[str, Any], times: int) -> dict[str, Any]:
    """What came out of fitting a recorded model again."""
    source = _one(opened, SETS, "training_set_id", row["training_set_id"])
    made = rebuilt_set(opened, source)
    differs = [f"rows: {reason}" for reason in made["differs_in"]]
    if row["feature_set"] != FEATURE_SET:
        differs.append(f"feature set: {row['feature_set'][:SHORT]} then, {FEATURE_SET[:SHORT]} in this release")
    folder = bundle_path(opened.settings, row["model_version"])
    try:
        kept = read_manifest(folder, row["model_version"]) if folder.exists() else {}
    except BundleError as altered:
        stop(f"{altered} Without the folder `liftlake train` puts it back.", SAYS_NO)
    versions: list[str] = []
    if not differs:
        rows = labelled(*learning_rows(opened.graph, source), row["measure"])
        fold = final_fold(opened.graph, row["cutoff_week_start_date"])
        config, fallback = TrainConfig.from_json(row["parameters"]), json.loads(row["fallback"] or "{}")
        for number in range(times):
            fitted = fit_as_recorded(rows, fold, row["measure"], config, fallback)
            versions.append(model_version(fitted))
            err.print(f"fit {number + 1} of {times}: {versions[-1][:SHORT]}", highlight=False)
            if versions[-1] != row["model_version"]:
                differs += differing_parts(fitted, kept.get("files", {}))  # type: ignore[arg-type]  JSON
            elif not kept:
                save_bundle(folder, fitted, bundle_manifest(source, fitted, rows))
    recorded = kept.get(ENVIRONMENT)
    return {
        "model_version": row["model_version"],
        "training_set_id": row["training_set_id"],
        "rebuilt": versions,
        "is_identical": bool(versions) and set(versions) == {row["model_version"]},
        "differs_in": sorted(set(differs)),
        "environment": changed_environment(recorded if isinstance(recorded, dict) else None),
    }


def _model_row(opened: Session, name: str) -> dict[str, Any]:
    rows = opened.lake.read(MODELS)
    by_set = rows.filter(pl.col("training_set_id").str.starts_with(name))
    if by_set.height == 1:
        return by_set.row(0, named=True)
    return _one(opened, MODELS, "model_version", name)


def _one(opened: Session, table: str, column: str, name: str) -> dict[str, Any]:
    """The row of a table whose id begins like this."""
    rows = opened.lake.read(table).filter(pl.col(column).str.starts_with(name))
    if rows.height != 1:
        stop(f"{rows.height} rows of {table} have a {column} that begins with {name!r}; name one of them.", WRONG_USE)
    return rows.row(0, named=True)


def _set_differences(row: dict[str, Any], rows: pl.DataFrame, copy: pl.DataFrame | None) -> list[str]:
    found = []
    if row["feature_set"] != FEATURE_SET:
        found.append(f"feature set {row['feature_set'][:SHORT]} then, {FEATURE_SET[:SHORT]} in this release")
    if copy is None:
        found.append(f"{row['row_count']:,} rows then, {rows.height:,} now, and the copy is lost")
        return found
    counts = differing_rows(copy, rows, FEATURE_KEY)
    return found + [f"{name}: {count:,} rows" for name, count in counts.items()]


def _put_back(path: Path, rows: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".staged")
    rows.write_parquet(staged)
    staged.replace(path)

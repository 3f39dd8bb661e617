"""`liftlake features`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import typer
from rich.table import Table

from cli.output import JSON_OPTION, WRONG_USE, command, out, print_json, stop
from cli.session import session
from ml.champions import champion_at
from ml.feature_uses import declared_features
from ml.features import FEATURE_SET

Declared = Mapping[str, Any]


@command
def features(
    name: str | None = typer.Argument(None, help="One feature; all of them when absent."),
    as_json: bool = JSON_OPTION,
) -> None:
    """The features that are declared now; of one feature, what it means and which models use it, newest first."""
    declared = {row["feature"]: row for row in declared_features().drop("position").iter_rows(named=True)}
    if name is not None and name not in declared:
        near = difflib.get_close_matches(name, declared, n=3)
        meant = f" Did you mean {', '.join(near)}?" if near else ""
        stop(f"There is no feature {name!r} in {FEATURE_SET}.{meant}", WRONG_USE)
    with session() as opened:
        uses = opened.lake.read("models.feature_uses") if opened.lake.exists("models.feature_uses") else None
        champion = champion_at(opened.lake.read("models.champion_history")) if uses is not None else None
    if name is None:
        _show_all(list(declared.values()), uses, champion, as_json=as_json)
    else:
        _show_one(declared[name], uses, champion, as_json=as_json)


def _show_all(declared: Sequence[Declared], uses: pl.DataFrame | None, champion: str | None, *, as_json: bool) -> None:
    own = {} if uses is None else dict(
        uses.filter(pl.col("model_version") == champion).select("feature", "importance_percent").iter_rows()
    )  # fmt: skip
    rows = [{**feature, "champion_importance_percent": own.get(feature["feature"])} for feature in declared]
    if as_json:
        print_json({"feature_set": FEATURE_SET, "champion": champion, "features": rows})
        return
    table = Table(title=f"{FEATURE_SET}: {len(rows)} features")
    for heading in ("feature", "computed from", "kernel", "weeks", "known", "champion %"):
        table.add_column(heading, justify="right" if heading == "champion %" else "left")
    for row in rows:
        share = row["champion_importance_percent"]
        table.add_row(
            row["feature"], row["computed_from"], row["kernel"], row["window_weeks"] or "", row["availability"],
            "" if share is None else f"{share:.1f}",
        )  # fmt: skip
    out.print(table)


def _show_one(feature: Declared, uses: pl.DataFrame | None, champion: str | None, *, as_json: bool) -> None:
    found = [] if uses is None else _models(uses, feature["feature"], champion)
    if as_json:
        print_json({"feature_set": FEATURE_SET, **feature, "models": found})
        return
    weeks = f", weeks {feature['window_weeks']}" if feature["window_weeks"] else ""
    out.print(f"{feature['feature']}: {feature['description']}", highlight=False)
    out.print(f"{feature['kernel']} of {feature['computed_from']}{weeks}; {feature['availability']}", highlight=False)
    if not found:
        out.print("No model uses it yet.")
    for row in found:
        mark = "champion  " if row["is_champion"] else "          "
        share = f"{row['importance_percent']:5.1f} %"
        version = row["model_version"][:12]
        out.print(f"{mark}{version}  {row['cutoff_week_start_date']}  {row['feature_set']}  {share}", highlight=False)


def _models(uses: pl.DataFrame, name: str, champion: str | None) -> list[dict[str, Any]]:
    columns = ["model_version", "cutoff_week_start_date", "feature_set", "measure", "importance_percent"]
    rows = uses.filter(pl.col("feature") == name).sort(
        ["cutoff_week_start_date", "model_version"], descending=[True, False]
    )
    return [
        {**row, "is_champion": row["model_version"] == champion} for row in rows.select(columns).iter_rows(named=True)
    ]

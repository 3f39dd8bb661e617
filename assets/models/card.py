"""Models: the card of a model version: what it was made from, how good it is where, what was decided about it.

Belongs here: the facts, read from tables and the bundle, and the page. Does not belong here: computing any of them.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl

from assets.evidence import bundle_path, evidence_path
from assets.graph import Graph
from assets.models.gate import published_history
from ml.backtest import MODEL, SLICES, backtest_metrics
from ml.baselines import SIMPLE_RULE
from ml.champions import champion_at
from ml.fallback import as_issued
from ml.library_ranges import RANGES
from ml.packaging import ENVIRONMENT, read_manifest
from ml.reference_rows import FORMAT
from resources.lake import Lake
from resources.settings import Settings

SHOWN_FEATURES = 10
LIMITS = """\
- It forecasts series that it was trained on and that have a whole week of history; a new store or product group has no
  forecast until then.
- Its errors are those of backtests and of issues that came true. A change that no week of the training showed is not in
  them; `liftlake drift` looks for one.
- It knows planned displays and mailers, not competitors, weather, or promotions that nobody recorded as planned.
- Medians of single series do not add up; totals are in forecasts.demand_totals.
- It says what will sell, not what an activity adds: that is insights.promotion_lift.
"""


def card_path(settings: Settings, version: str) -> Path:
    """The card of a model version."""
    return settings.artifacts / "cards" / f"{version}.md"


def write_cards(graph: Graph, lake: Lake) -> None:
    """Write the cards of the champion and of the newest model."""
    history = published_history(lake, graph)
    models = lake.read("models.demand_models", where=f"cutoff_week_start_date = DATE'{graph.cutoff_week()}'")
    for version in sorted({*models["model_version"], champion_at(history)} - {None}):
        path = card_path(graph.settings, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(model_card(lake, graph, version), encoding="utf-8")


def model_card(lake: Lake, graph: Graph, version: str) -> str:
    """The card as Markdown.

    Raises:
        LookupError: there is no such model. BundleError: its files are incomplete or altered.
    """
    models = lake.read("models.demand_models", where=f"model_version = '{version}'")
    if models.is_empty():
        raise LookupError(f"There is no model {version}; `liftlake champion` and models.demand_models list them.")
    model = models.row(0, named=True)
    history = published_history(lake, graph)
    sections = [
        f"# Model card: {model['measure']} per store, product group and week\n",
        _facts(graph, model, is_champion=champion_at(history) == version),
        "## What it was trained on\n",
        _training(lake, model),
        "## How good it is\n",
        _accuracy(graph, model),
        "## What was decided about it\n",
        _decisions(history, version),
        "## What moves its forecasts\n",
        _features(lake, version),
        "## Limits\n",
        LIMITS,
    ]
    return "\n".join(sections)


def _facts(graph: Graph, model: dict[str, Any], *, is_champion: bool) -> str:
    version = model["model_version"]
    manifest = read_manifest(bundle_path(graph.settings, version), version)
    environment = manifest.get(ENVIRONMENT) or {}
    ranges = manifest.get(RANGES) or {}
    assert isinstance(environment, dict)
    assert isinstance(ranges, dict)
    fallback = json.loads(model["fallback"] or "{}")
    return _table(
        ("", ""),
        [
            ("Model version", f"`{version}`"),
            ("In charge", "yes" if is_champion else "no"),
            ("Owner", graph.contract("models", "demand_models").owner),
            ("Contract", f"models.demand_models {graph.contract('models', 'demand_models').version}"),
            ("Bundle format", str(manifest.get(FORMAT, 1))),
            ("Feature set", f"`{model['feature_set']}`"),
            ("Parameters", f"`{model['parameters']}`"),
            ("Left to a baseline", ", ".join(f"{group}: {rule}" for group, rule in fallback.items()) or "nothing"),
            ("Loads with", ", ".join(f"{name} {span}" for name, span in sorted(ranges.items())) or "not recorded"),
            (
                "Made with",
                ", ".join(f"{name} {value}" for name, value in sorted(environment.items())) or "not recorded",
            ),
        ],
    )


def _training(lake: Lake, model: dict[str, Any]) -> str:
    where = f"training_set_id = '{model['training_set_id']}'"
    (row,) = lake.read("gold.training_sets", where=where).sort("ordinal", nulls_last=False).tail(1).to_dicts()
    shown = [
        (name.replace("_", " "), f"`{value}`" if isinstance(value, str) else str(value)) for name, value in row.items()
    ]
    return _table(("training set", ""), shown)


def _accuracy(graph: Graph, model: dict[str, Any]) -> str:
    scored = pl.read_parquet(evidence_path(graph.settings, model["training_set_id"]))
    issued = as_issued(scored, json.loads(model["fallback"] or "{}"))
    metrics = backtest_metrics(issued, ("method",)).filter(pl.col("method").is_in([MODEL, SIMPLE_RULE]))
    weeks = scored["cutoff_week_start_date"].unique().sort()
    rows = []
    groups = sorted(set(metrics["slice"]) - set(SLICES))
    for name in [*(name for name in SLICES if name in set(metrics["slice"])), *groups]:
        both = {row["method"]: row for row in metrics.filter(slice=name).iter_rows(named=True)}
        own, rule = both[MODEL], both[SIMPLE_RULE]
        numbers = [own["wape"], rule["wape"], own["bias"], own["coverage_80"] and 100 * own["coverage_80"]]
        shown = ["-" if number is None else f"{number:.1f}" for number in numbers]
        rows.append((name, f"{own['row_count']:,}", *shown))
    heading = ("slice", "rows", "WAPE, %", "WAPE of the simple rule", "bias, %", "in [p10, p90], %")
    said = (
        f"Backtest at {len(weeks)} cutoffs from {weeks[0]} to {weeks[-1]}, all horizons, as it would have been issued."
    )
    return f"{said}\n\n{_table(heading, rows)}"


def _decisions(history: pl.DataFrame, version: str) -> str:
    about = history.filter((pl.col("model_version") == version) | (pl.col("previous_model_version") == version)).filter(
        pl.col("decision") != "kept"
    )
    if about.is_empty():
        return "The gate has not put it in charge.\n"
    rows = [
        (f"{row['decided_as_of']:%Y-%m-%d %H:%M}", row["decision"], (row["model_version"] or "")[:12],
         "; ".join(row["reasons"]) + (f" ({row['decided_by']})" if row["decided_by"] else ""))
        for row in about.iter_rows(named=True)
    ]  # fmt: skip
    return _table(("as of, UTC", "decision", "in charge then", "reasons"), rows)


def _features(lake: Lake, version: str) -> str:
    if not lake.exists("models.feature_uses"):
        return "models.feature_uses is not there yet.\n"
    uses = lake.read("models.feature_uses", where=f"model_version = '{version}'")
    ranked = uses.sort("importance_percent", "feature", descending=[True, False]).head(SHOWN_FEATURES)
    rows = [(r["feature"], f"{r['importance_percent']:.1f}", r["description"]) for r in ranked.iter_rows(named=True)]
    return _table(("feature", "importance, %", "meaning"), rows)


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"

"""Models: what totals would have been expected to be, from the rows of the backtest.

Belongs here: the backtest of totals as an asset. Does not belong here: expected values and their ranges (ml).
"""

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import TOTALS_CODE, evidence_path, fallback_of, newest_training_set
from assets.graph import Graph, materialise
from ml.champions import champion_at
from ml.fallback import as_issued
from ml.totals_ranges import wape_by_level
from ml.totals_tables import totals_backtest as expected_in_tests
from resources.lake import Lake


def totals_backtest_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The backtest of totals."""
    measure = graph.settings.lake.forecast.measure

    @graph.asset(
        "models",
        "totals_backtest",
        kinds={"polars"},
        code=TOTALS_CODE,
        deps=[
            ("models", "demand_backtest"),
            ("models", "champion_history"),
            ("gold", "training_sets"),
            ("gold", "demand_series"),
        ],
        settings=[measure],
        condition=weekly_after_close(),
    )
    def totals_backtest(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        scored = pl.read_parquet(evidence_path(graph.settings, manifest["training_set_id"]))
        champion = champion_at(lake.read("models.champion_history"))
        if champion is not None:
            # A group is scaled by what its issuer measured.
            scored = as_issued(scored, fallback_of(graph.settings, champion))
        rows = expected_in_tests(scored, lake.read("gold.demand_series"), measure)
        errors = wape_by_level(rows)
        # The model's where it was tested, else the simple rule's.
        leading = errors.filter(pl.col("method") == errors["method"].first())
        figures = {
            f"wape_{row['level']}_{name}": round(row[column], 4)
            for row in leading.iter_rows(named=True)
            for name, column in (("expected", "wape_expected"), ("summed_medians", "wape_p50"))
            if row[column] is not None
        }
        shown = {**figures, "errors_by_level": dg.MetadataValue.md(errors_by_level(errors))}
        return materialise(context, lake, graph, graph.contract("models", "totals_backtest"), rows, metadata=shown)

    return [totals_backtest]


def errors_by_level(errors: pl.DataFrame) -> str:
    """A Markdown table, a row per method and level: WAPE in percent of summed medians and of what is expected.

    Args:
        errors: from `ml.totals_ranges.wape_by_level`.
    """
    lines = ["| method | level | summed medians, WAPE % | expected, WAPE % |", "|---|---|---:|---:|"]
    for method, level, *wapes in errors.iter_rows():
        shown = ["-" if wape is None else f"{wape:.1f}" for wape in wapes]
        lines.append(f"| {method} | {level} | {' | '.join(shown)} |")
    return "\n".join(lines)

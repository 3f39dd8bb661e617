"""Products in scope and their lines: what one manufacturer sells of one type in one group, promoted together.

Belongs here: the SQL of scope, lines and their weekly sums, which several assets read. Does not belong here: an asset.
"""

from datetime import date

import polars as pl

from assets.graph import Graph
from resources.lake import Lake

LINE = "CONCAT_WS(' / ', product_group, COALESCE(manufacturer_id, '-'), COALESCE(product_type, '-'))"


def group_filter(groups: tuple[str, ...]) -> str:
    """SQL condition of the product groups in scope; no group means the whole store."""
    quoted = ", ".join("'" + group.replace("'", "\\'") + "'" for group in groups)
    return f"product_group IN ({quoted})" if groups else "TRUE"


def lines_in_scope(groups: tuple[str, ...]) -> str:
    """SQL of product_id, product_group and product_line of the products in scope; no group means all products."""
    lines = f"SELECT product_id, product_group, {LINE} AS product_line FROM silver.dim_product"
    return f"{lines} WHERE is_current AND {group_filter(groups)}"


def line_weeks(lake: Lake, graph: Graph) -> pl.DataFrame:
    """One row per store, line and week with a sale, up to the lake's clock.

    transactions, quantity_units and net_sales_usd are counted as gold.demand_series counts them; sales_amount_usd and
    retail_discount_usd are as rung up.
    """
    return lake.query(
        "SELECT store_id, product_group, product_line, week_start_date, "
        "COUNT(DISTINCT transaction_id) FILTER (WHERE NOT is_returned) AS transactions, "
        "CAST(SUM(net_quantity_units) AS DECIMAL(18,4)) AS quantity_units, "
        "CAST(SUM(net_sales_usd) AS DECIMAL(18,4)) AS net_sales_usd, "
        "CAST(SUM(sales_amount_usd) AS DECIMAL(18,4)) AS sales_amount_usd, "
        "CAST(SUM(retail_discount_usd) AS DECIMAL(18,4)) AS retail_discount_usd "
        f"FROM silver.fct_receipt_lines JOIN ({lines_in_scope(graph.settings.lake.scope.product_groups)}) "
        f"USING (product_id) WHERE NOT is_non_merchandise AND week_start_date <= DATE'{graph.cutoff_week()}' "
        "GROUP BY store_id, product_group, product_line, week_start_date"
    )


def whole_weeks(lake: Lake, graph: Graph) -> list[date]:
    """The business weeks that are over at the lake's clock and that the source holds all days of, oldest first."""
    over = f"NOT is_partial_week AND week_start_date <= DATE'{graph.cutoff_week()}'"
    rows = lake.query(f"SELECT DISTINCT week_start_date FROM gold.demand_series WHERE {over} ORDER BY week_start_date")
    return rows["week_start_date"].to_list()

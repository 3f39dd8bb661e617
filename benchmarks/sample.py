"""A seeded sample of the demo's real data: a few whole stores, every lookup table.

Belongs here: cutting the sample. Whole stores, because series, baskets and promotions must stay complete in each.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import polars as pl

from resources.mapping import load_mapping
from resources.settings import Settings

STORES, SEED = 12, 20171204
BUSY_STORE_LINES = 8_000


def write_sample(settings: Settings, folder: Path, stores: int = STORES) -> tuple[str, ...]:
    """Write the files of the demo's source for `stores` busy stores into `folder`; returns the store ids."""
    source = load_mapping("completejourney").folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    receipts = pl.read_parquet(source / "transactions.parquet")
    busy = receipts.group_by("store_id").len().filter(pl.col("len") >= BUSY_STORE_LINES)["store_id"].sort().to_list()
    chosen = sorted(random.Random(SEED).sample(busy, stores))  # noqa: S311  a sample is no secret
    receipts.filter(pl.col("store_id").is_in(chosen)).write_parquet(folder / "transactions.parquet")
    promotions = pl.scan_parquet(source / "promotions.parquet").filter(pl.col("store_id").is_in(chosen))
    promotions.sink_parquet(folder / "promotions.parquet")
    for path in source.glob("*.parquet"):
        if path.name not in {"transactions.parquet", "promotions.parquet"}:
            shutil.copy(path, folder / path.name)
    return tuple(str(store) for store in chosen)

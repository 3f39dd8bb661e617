"""Some rows of the training with the forecasts that a model made of them, packed with it.

Belongs here: choosing them, and the proof that a loaded model still forecasts the same. Does not belong here: a
bundle's files and hashes (ml.packaging).

Hashes prove that a model's bytes are those that were packed. That this machine, with its libraries, makes the same
numbers of them is shown by making them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from ml.feature_declaration import POLARS_DTYPES
from ml.features import FEATURE_KEY, TARGET_WEEK
from ml.forecaster import CalibratedModel
from ml.packaging import Bundle, BundleError
from ml.training import FORECAST_COLUMNS

# Of what is packed with a model; the first format had no reference rows.
FORMAT_VERSION, FORMAT, REFERENCE = 2, "format_version", "reference_rows"
_COUNT = 16
# Units of the measure: another processor may sum in another order.
_TOLERANCE = 1e-6
_DTYPES = {**POLARS_DTYPES, "DATE": pl.Date()}


def reference_rows(fitted: CalibratedModel, rows: pl.DataFrame) -> dict[str, Any]:
    """Rows spread evenly over the training's, with the calibrated forecasts of them, as JSON values.

    Args:
        fitted: the model.
        rows: feature rows that it can forecast.
    """
    names = list(dict.fromkeys([*FEATURE_KEY, TARGET_WEEK, *fitted.model.signature.names]))
    ordered = rows.select(names).sort(FEATURE_KEY)
    chosen = ordered.gather_every(max(1, ordered.height // _COUNT)).head(_COUNT)
    expected = fitted.forecast(chosen).select(FORECAST_COLUMNS)
    types = {name: next(key for key, dtype in _DTYPES.items() if dtype == chosen.schema[name]) for name in names}
    dates = [name for name, dtype in types.items() if dtype == "DATE"]
    return {
        "columns": [[name, dtype] for name, dtype in types.items()],
        "rows": chosen.with_columns(pl.col(dates).cast(pl.String)).rows(),
        "expected": expected.rows(),
    }


def require_reference(bundle: Bundle) -> int:
    """Raise BundleError unless the model forecasts its reference rows as when it was packed.

    Returns:
        The rows that were compared: 0 for a bundle of the first format, which has none.
    """
    content = bundle.manifest.get(REFERENCE)
    if content is None:
        return 0
    assert isinstance(content, Mapping)
    rows = _frame(dict(content["columns"]), content["rows"])
    wanted = pl.DataFrame(content["expected"], schema=FORECAST_COLUMNS, orient="row").cast(pl.Float64)
    found = bundle.fitted.forecast(rows).select(FORECAST_COLUMNS)
    gaps = (found - wanted).select(pl.all().abs().fill_nan(float("inf")).max())
    gap = max(gaps.row(0))
    if gap > _TOLERANCE:
        raise BundleError(
            f"Model {bundle.model_version[:12]} forecasts its reference rows otherwise than when it was packed (by "
            f"{gap:.3g}): this machine or its libraries compute other numbers. Train anew."
        )
    return wanted.height


def _frame(types: Mapping[str, str], rows: list[list[Any]]) -> pl.DataFrame:
    dates = [name for name, dtype in types.items() if dtype == "DATE"]
    schema = {name: pl.String() if name in dates else _DTYPES[dtype] for name, dtype in types.items()}  # type: ignore[index]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(pl.col(dates).str.to_date())

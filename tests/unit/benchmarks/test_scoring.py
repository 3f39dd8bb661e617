"""The synthetic rows of the scoring benchmark are rows that a model of the demand features takes."""

from __future__ import annotations

from benchmarks.scoring import HORIZONS, feature_rows
from ml.features import DEMAND_FEATURES, FEATURE_KEY, feature_table_columns
from ml.training import Signature, require_features


def test_rows_have_the_columns_and_keys_of_the_feature_table() -> None:
    rows = feature_rows(stores=3, groups=2, weeks=5)
    assert dict(rows.schema) == feature_table_columns()
    assert rows.height == rows.select(FEATURE_KEY).n_unique() == 3 * 2 * 5 * len(HORIZONS)
    assert rows.equals(feature_rows(stores=3, groups=2, weeks=5))
    require_features(rows, Signature.of(DEMAND_FEATURES, "quantity_units", (0.1, 0.5, 0.9)))
    assert rows["target_holiday"].n_unique() > 1

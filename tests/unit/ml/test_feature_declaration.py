"""The version of a feature set says what its columns mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ml.feature_declaration import set_version
from ml.features import DEMAND_FEATURES, FEATURE_SET


@pytest.mark.parametrize(
    "change",
    [
        {"window": (5,)},
        {"source": "quantity_units"},
        {"kernel": "max"},
        {"availability": "known_future"},
        {"dtype": "BIGINT"},
        {"name": "other"},
    ],
)
def test_another_meaning_is_another_set(change: dict) -> None:
    index = next(i for i, feature in enumerate(DEMAND_FEATURES) if feature.name == "transactions_mean_4")
    changed = [*DEMAND_FEATURES[:index], replace(DEMAND_FEATURES[index], **change), *DEMAND_FEATURES[index + 1 :]]
    assert set_version("demand", changed) != FEATURE_SET


def test_order_counts_and_words_do_not() -> None:
    assert set_version("demand", DEMAND_FEATURES[::-1]) != FEATURE_SET
    reworded = [replace(feature, description=feature.description.upper()) for feature in DEMAND_FEATURES]
    assert set_version("demand", reworded) == FEATURE_SET

"""The benchmark of drift: its verdicts are those that single values give."""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.drift import KS_LEVEL, LEAST_WASSERSTEIN, drift_rows, verdicts


def test_verdicts_are_those_of_single_values() -> None:
    reference, current = drift_rows(20_000, 10_000)
    found = verdicts(reference, current)
    moved = {name for number, name in enumerate(reference.columns) if number % 2}
    wanted: dict[str, set[str]] = {"ks": set(), "wasserstein": set()}
    for name in reference.columns:
        left, right = reference[name].to_numpy(), current[name].to_numpy()
        if stats.ks_2samp(left, right, method="asymp").pvalue < KS_LEVEL:
            wanted["ks"].add(name)
        if stats.wasserstein_distance(left, right) / np.std(left) >= LEAST_WASSERSTEIN:
            wanted["wasserstein"].add(name)
    for test, names in wanted.items():
        drifted = {name for name, is_drifted in found[test].items() if is_drifted}
        assert len(drifted ^ names) <= 1
        assert moved <= drifted
    assert {name for name, is_drifted in found["psi"].items() if is_drifted} <= moved

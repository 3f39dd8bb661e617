"""Reference rows: a model that computes other numbers than when it was packed is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ml.forecaster import CalibratedModel, calibrate_baseline, fit_calibrated
from ml.packaging import Bundle, BundleError, load_bundle, save_bundle
from ml.reference_rows import FORMAT, FORMAT_VERSION, REFERENCE, reference_rows, require_reference
from tests.unit.ml.prepared_data import SMALL, Prepared


@pytest.fixture
def kept(prepared: Prepared, fitted: CalibratedModel, tmp_path: Path) -> Bundle:
    packed = {FORMAT: FORMAT_VERSION, REFERENCE: reference_rows(fitted, prepared.rows)}
    save_bundle(tmp_path / "bundle", fitted, packed)
    return load_bundle(tmp_path / "bundle")


def test_a_loaded_model_forecasts_its_reference_rows(kept: Bundle) -> None:
    assert require_reference(kept) == 16
    assert kept.manifest[FORMAT] == 2


def test_a_fallback_is_forecast_too(prepared: Prepared, fitted: CalibratedModel) -> None:
    naive = calibrate_baseline(prepared.rows, prepared.folds[-1], "transactions", "naive")
    falling_back = replace(fitted, fallback={"g1": naive})
    packed = json.loads(json.dumps(reference_rows(falling_back, prepared.rows)))
    assert require_reference(Bundle(falling_back, "v", {REFERENCE: packed})) == 16
    with pytest.raises(BundleError, match="otherwise than when it was packed"):
        require_reference(Bundle(fitted, "v", {REFERENCE: packed}))


def test_another_model_or_another_number_is_refused(prepared: Prepared, kept: Bundle) -> None:
    other = fit_calibrated(prepared.rows, prepared.folds[-1], "transactions", replace(SMALL, seed=1))
    with pytest.raises(BundleError, match="Train anew"):
        require_reference(replace(kept, fitted=other))
    content = json.loads(json.dumps(kept.manifest[REFERENCE]))
    content["expected"][3][1] += 0.001
    with pytest.raises(BundleError, match=r"by 0\.001"):
        require_reference(replace(kept, manifest={REFERENCE: content}))
    content["expected"][3][1] = float("nan")
    with pytest.raises(BundleError):
        require_reference(replace(kept, manifest={REFERENCE: content}))


def test_a_bundle_of_the_first_format_has_none(kept: Bundle) -> None:
    assert require_reference(replace(kept, manifest={})) == 0


def test_rows_in_any_order_give_the_same_reference(prepared: Prepared, fitted: CalibratedModel) -> None:
    mixed = prepared.rows.sample(fraction=1, shuffle=True, seed=3)
    assert reference_rows(fitted, mixed) == reference_rows(fitted, prepared.rows)
    few = reference_rows(fitted, prepared.rows.head(3))
    assert (len(few["rows"]), len(few["expected"])) == (3, 3)


def test_a_bundle_that_an_older_release_saved_stays_as_it_is(
    prepared: Prepared, fitted: CalibratedModel, tmp_path: Path
) -> None:
    save_bundle(tmp_path / "bundle", fitted, {"training_set_id": "abc"})
    before = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    packed = {FORMAT: FORMAT_VERSION, REFERENCE: reference_rows(fitted, prepared.rows)}
    save_bundle(tmp_path / "bundle", fitted, {"training_set_id": "abc", **packed})
    assert {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()} == before

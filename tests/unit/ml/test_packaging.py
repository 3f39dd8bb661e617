"""Bundles: equal fits give equal hashes, and nothing altered is loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ml.forecaster import CalibratedModel, fit_calibrated
from ml.packaging import BundleError, load_bundle, model_version, normalised_bytes, save_bundle
from ml.training import FeatureMismatch, QuantileModel
from tests.unit.ml.prepared_data import SMALL, Prepared

MANIFEST = {"training_set_id": "abc", "cutoff_week_start_date": "2017-07-31"}


@pytest.fixture
def folder(tmp_path: Path, fitted: CalibratedModel) -> Path:
    save_bundle(tmp_path / "bundle", fitted, MANIFEST)
    return tmp_path / "bundle"


def test_two_fits_have_one_version(prepared: Prepared, fitted: CalibratedModel) -> None:
    again = fit_calibrated(prepared.rows, prepared.folds[-1], "transactions", SMALL)
    assert model_version(again) == model_version(fitted)
    assert len(model_version(again)) == 64


def test_normalised_bytes_leave_the_model_as_it_was(fitted: CalibratedModel) -> None:
    finished_at = fitted.model.regressor.get_metadata()["train_finish_time"]
    normalised_bytes(fitted.model)
    assert fitted.model.regressor.get_metadata()["train_finish_time"] == finished_at != ""


def test_calibration_is_part_of_the_version(fitted: CalibratedModel) -> None:
    moved = CalibratedModel(fitted.model, replace(fitted.calibration, width_floor=fitted.calibration.width_floor + 1))
    assert model_version(moved) != model_version(fitted)


def test_a_loaded_bundle_forecasts_the_same(prepared: Prepared, fitted: CalibratedModel, folder: Path) -> None:
    bundle = load_bundle(folder, model_version(fitted))
    assert bundle.model_version == model_version(bundle.fitted) == model_version(fitted)
    assert bundle.manifest["training_set_id"] == "abc"
    assert bundle.fitted.forecast(prepared.features).equals(fitted.forecast(prepared.features))


def test_saving_twice_changes_nothing_and_other_content_is_refused(fitted: CalibratedModel, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_bundle(folder, fitted, MANIFEST)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(BundleError, match=r"other content in \['manifest.json'\]"):
        save_bundle(folder, fitted, MANIFEST | {"training_set_id": "other"})
    with pytest.raises(BundleError, match="may not set"):
        save_bundle(folder, fitted, {"model_version": "mine"})


def test_a_bundle_holds_data_only(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.json", "manifest.json", "model.cbm", "signature.json",
    ]  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["model.cbm", "calibration.json", "signature.json"])
def test_one_altered_byte_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name}.*do not match"):
        load_bundle(folder)


def test_missing_extra_and_other_bundles_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="asked for was 0000"):
        load_bundle(folder, "0000")
    extra = shutil.copytree(folder, tmp_path / "extra")
    (extra / "run.py").write_text("")
    with pytest.raises(BundleError, match="a bundle is"):
        load_bundle(extra)
    (folder / "signature.json").unlink()
    with pytest.raises(BundleError, match="a bundle is"):
        load_bundle(folder)
    with pytest.raises(BundleError, match="holds \\[\\]"):
        load_bundle(tmp_path / "nowhere")


def test_a_model_with_other_columns_than_its_signature_is_refused(fitted: CalibratedModel, tmp_path: Path) -> None:
    signature = fitted.model.signature
    swapped = (signature.columns[1], signature.columns[0], *signature.columns[2:])
    lying = CalibratedModel(
        QuantileModel(fitted.model.regressor, replace(signature, columns=swapped)), fitted.calibration
    )
    save_bundle(tmp_path / "lying", lying, {})
    with pytest.raises(FeatureMismatch, match="its signature"):
        load_bundle(tmp_path / "lying")


def test_a_manifest_cannot_vouch_for_another_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"model_version": "f" * 64}))
    with pytest.raises(BundleError, match="the manifest says fff"):
        load_bundle(folder)

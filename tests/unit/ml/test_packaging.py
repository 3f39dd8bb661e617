"""Bundles: equal fits give equal hashes, and nothing altered is loaded."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from ml.forecaster import CalibratedModel, calibrate_baseline, fit_calibrated
from ml.library_ranges import LIBRARY_RANGES
from ml.packaging import BundleError, load_bundle, model_version, normalised_bytes, read_manifest, save_bundle
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
    save_bundle(folder, fitted, MANIFEST | {"environment": {"cpu": "another"}})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(BundleError, match="may not set"):
        save_bundle(folder, fitted, {"model_version": "mine"})


def test_what_a_killed_save_left_is_gone_with_the_next(fitted: CalibratedModel, tmp_path: Path) -> None:
    left = tmp_path / "models" / ".bundle.x7d2"
    left.mkdir(parents=True)
    (left / "model.cbm").write_bytes(b"half")
    save_bundle(tmp_path / "models" / "bundle", fitted, MANIFEST)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["bundle"]


def test_a_bundle_holds_data_only(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.json", "manifest.json", "model.cbm", "signature.json",
    ]  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


@pytest.fixture
def falling_back(prepared: Prepared, fitted: CalibratedModel) -> CalibratedModel:
    ses, naive = (
        calibrate_baseline(prepared.rows, prepared.folds[-1], "transactions", name) for name in ("ses", "naive")
    )
    return replace(fitted, fallback={"g2": naive, "g1": ses})


def test_a_fallback_is_kept_and_part_of_the_version(
    prepared: Prepared, fitted: CalibratedModel, falling_back: CalibratedModel, tmp_path: Path
) -> None:
    version = save_bundle(tmp_path / "bundle", falling_back, MANIFEST)
    assert version == model_version(falling_back) != model_version(fitted)
    one = replace(falling_back, fallback={"g1": falling_back.fallback["g1"]})
    assert model_version(one) not in {version, model_version(fitted)}
    calibration = falling_back.fallback["g1"].calibration
    wider = replace(falling_back.fallback["g1"], calibration=replace(calibration, width_floor=9.0))
    assert model_version(replace(falling_back, fallback={**falling_back.fallback, "g1": wider})) != version
    loaded = load_bundle(tmp_path / "bundle", version)
    assert loaded.fitted.fallback == falling_back.fallback
    assert loaded.fitted.forecast(prepared.features).equals(falling_back.forecast(prepared.features))
    assert not falling_back.forecast(prepared.features).equals(fitted.forecast(prepared.features))


def test_a_model_without_fallback_has_the_files_and_the_version_of_the_releases_before_there_was_one(
    fitted: CalibratedModel, folder: Path
) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    assert sorted(files) == ["calibration.json", "model.cbm", "signature.json"]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    written = json.dumps(hashes, sort_keys=True, separators=(",", ":")).encode()
    assert load_bundle(folder).model_version == hashlib.sha256(written).hexdigest() == model_version(fitted)
    assert load_bundle(folder).fitted.fallback == {}


def test_a_fallback_cannot_be_added_altered_or_taken_away(
    folder: Path, falling_back: CalibratedModel, tmp_path: Path
) -> None:
    save_bundle(tmp_path / "other", falling_back, MANIFEST)
    file = tmp_path / "other" / "fallback.json"
    shutil.copy(file, folder / "fallback.json")
    with pytest.raises(BundleError, match=r"\['fallback.json'\] do not match"):
        load_bundle(folder)
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"ses"', b'"mean_8"'))
    with pytest.raises(BundleError, match=r"\['fallback.json'\] do not match"):
        load_bundle(tmp_path / "other")
    file.unlink()
    with pytest.raises(BundleError, match=r"\['fallback.json'\] do not match"):
        load_bundle(tmp_path / "other")
    # A manifest that was made to agree does not help: the version that is asked for is another.
    manifest = json.loads((tmp_path / "other" / "manifest.json").read_bytes())
    del manifest["files"]["fallback.json"]
    (tmp_path / "other" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="the manifest says"):
        load_bundle(tmp_path / "other")


def test_a_baseline_that_this_release_does_not_have_is_refused(falling_back: CalibratedModel, tmp_path: Path) -> None:
    unknown = replace(falling_back.fallback["g1"], method="theta")
    save_bundle(tmp_path / "bundle", replace(falling_back, fallback={"g1": unknown}), {})
    with pytest.raises(BundleError, match=r"names the baselines \['theta'\]; this release has"):
        load_bundle(tmp_path / "bundle")


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


def with_manifest(folder: Path, **changed: object) -> Path:
    """The bundle with other entries in its manifest; None takes one away."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changed
    kept = {name: value for name, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(kept))
    return folder


def test_a_bundle_names_the_libraries_that_may_load_it(fitted: CalibratedModel, folder: Path) -> None:
    assert load_bundle(folder).manifest["library_ranges"] == LIBRARY_RANGES
    with pytest.raises(BundleError, match="may not set"):
        save_bundle(folder, fitted, {"library_ranges": {}})


@pytest.mark.parametrize("span", [f"!={version('catboost')}", "<1", ">=9", f">{version('catboost')},<2"])
def test_a_bundle_for_other_libraries_is_refused_by_their_names(folder: Path, span: str) -> None:
    with_manifest(folder, library_ranges={**LIBRARY_RANGES, "catboost": span})
    with pytest.raises(BundleError) as said:
        load_bundle(folder)
    assert f"catboost {version('catboost')} ({span} is needed). Install those" in str(said.value)
    assert "liftlake rollback" in str(said.value)
    assert "numpy" not in str(said.value)
    # What it was made of can still be read, and other versions of libraries are no other model.
    assert read_manifest(folder)["model_version"] == model_version(fitted_in(folder))


def fitted_in(folder: Path) -> CalibratedModel:
    return load_bundle(with_manifest(folder, library_ranges=dict(LIBRARY_RANGES))).fitted


def test_a_library_that_is_not_there_is_refused_and_ranges_that_are_none_too(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"no-such-library is not installed \(>=1 is needed\)"):
        load_bundle(with_manifest(folder, library_ranges={"no-such-library": ">=1"}))
    for spoilt in ({"numpy": "about 2"}, ["numpy"], {"numpy": 2}):
        with pytest.raises(BundleError, match="no ranges of versions"):
            load_bundle(with_manifest(folder, library_ranges=spoilt))


def test_a_bundle_of_a_release_before_there_were_ranges_loads_and_is_saved_again(
    fitted: CalibratedModel, folder: Path
) -> None:
    with_manifest(folder, library_ranges=None)
    assert load_bundle(folder).model_version == model_version(fitted)
    before = (folder / "manifest.json").read_bytes()
    assert save_bundle(folder, fitted, MANIFEST) == model_version(fitted)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_manifest_cannot_vouch_for_another_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"model_version": "f" * 64}))
    with pytest.raises(BundleError, match="the manifest says fff"):
        load_bundle(folder)

"""A model as bytes and as a bundle of files whose hashes say what they are.

Belongs here: normalised bytes, the version of a model, a bundle on disk written and verified. Does not belong here:
registries, object stores, which bundle is champion.

A bundle is a folder of `model.cbm` (CatBoost's own format: data, no code) and JSON. Nothing in it is executed.
`fallback.json` is there exactly when product groups fall back to a baseline, so that a model without fallback has one
version whichever release packed it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catboost import CatBoostRegressor
from packaging.specifiers import InvalidSpecifier

from ml.baselines import BASELINES
from ml.forecaster import CalibratedBaseline, CalibratedModel
from ml.intervals import Calibration
from ml.library_ranges import LIBRARY_RANGES, RANGES, unmet_ranges
from ml.training import FeatureMismatch, QuantileModel, Signature

MODEL_FILE, CALIBRATION_FILE, SIGNATURE_FILE, FALLBACK_FILE, MANIFEST_FILE = (
    "model.cbm",
    "calibration.json",
    "signature.json",
    "fallback.json",
    "manifest.json",
)
_CONTENT_FILES = (MODEL_FILE, CALIBRATION_FILE, SIGNATURE_FILE)
# CatBoost stamps these on every fit, whatever was fitted.
_VOLATILE_METADATA = ("train_finish_time", "model_guid")
_RESERVED = ("files", "model_version", RANGES)
ENVIRONMENT = "environment"
# Of the first save, and no part of what a model is.
_FIRST_SAVE = (ENVIRONMENT, "format_version", "reference_rows", RANGES)


class BundleError(ValueError):
    """A bundle is incomplete, altered, or not the one that was asked for."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    fitted: CalibratedModel
    model_version: str
    manifest: Mapping[str, object]


def normalised_bytes(model: QuantileModel) -> bytes:
    """The model in CatBoost's binary format without the time and random id of its fit.

    Equal rows, parameters and thread count on one machine give equal bytes.
    """
    copy = model.regressor.copy()
    metadata = copy.get_metadata()
    for name in _VOLATILE_METADATA:
        metadata[name] = ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        copy.save_model(str(path), format="cbm")
        return path.read_bytes()


def model_version(fitted: CalibratedModel) -> str:
    """SHA-256 (hex) of everything that decides a forecast: trees, calibration, signature and fallback."""
    return _version(content_hashes(fitted))


def content_hashes(fitted: CalibratedModel) -> dict[str, str]:
    """File name to SHA-256 (hex) of the parts of a model, as a bundle's manifest has them under `files`."""
    return {name: _sha256(content) for name, content in _contents(fitted).items()}


def save_bundle(folder: Path, fitted: CalibratedModel, manifest: Mapping[str, object]) -> str:
    """Write a bundle and return its model version. Saving the same bundle again changes nothing.

    Args:
        folder: where the bundle goes; it appears complete or not at all.
        fitted: the model with its calibration and fallback.
        manifest: how the model came about (JSON values; training set, config, data version, `environment` of the fit).
            `files`, `model_version` and `library_ranges` are added. Environment, format, reference rows and ranges of
            the first save stay: the same bytes may be made in another environment, and by an older release.

    Raises:
        BundleError: the folder holds something else already, or the manifest uses a reserved name.
    """
    taken = sorted(set(manifest) & set(_RESERVED))
    if taken:
        raise BundleError(f"The manifest may not set {taken}: save_bundle writes them.")
    contents = _contents(fitted)
    hashes = {name: _sha256(content) for name, content in contents.items()}
    version = _version(hashes)
    contents[MANIFEST_FILE] = _json_bytes(
        {**manifest, "files": hashes, "model_version": version, RANGES: dict(LIBRARY_RANGES)}
    )
    if folder.exists():
        _require_same(folder, contents)
        return version
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):
        # Of a save that was killed; one process saves at a time.
        shutil.rmtree(left)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in contents.items():
            _write_durably(staging / name, content)
        staging.rename(folder)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return version


def load_bundle(folder: Path, expected_version: str | None = None) -> Bundle:
    """Read a bundle after every file's hash was found equal to the manifest's.

    Args:
        folder: a folder written by `save_bundle`.
        expected_version: the model version that the caller means; None takes what is there.

    Raises:
        BundleError: a file is missing, extra or altered, the version is another, an installed library is outside the
            range that the bundle names (older bundles name none), or the fallback names a baseline that this release
            does not have.
        FeatureMismatch: the model's columns are not those of its signature.
    """
    contents, manifest, version = _verified(folder, expected_version)
    _require_ranges(folder, manifest)
    signature = _signature(contents[SIGNATURE_FILE])
    regressor = CatBoostRegressor()
    regressor.load_model(blob=contents[MODEL_FILE])
    if regressor.feature_names_ != signature.names:
        raise FeatureMismatch(f"{folder}: the model takes {regressor.feature_names_}, its signature {signature.names}.")
    calibration = Calibration.from_json(contents[CALIBRATION_FILE].decode())
    fallback = _fallback(contents[FALLBACK_FILE], signature.measure) if FALLBACK_FILE in contents else {}
    return Bundle(CalibratedModel(QuantileModel(regressor, signature), calibration, fallback), version, manifest)


def read_manifest(folder: Path, expected_version: str | None = None) -> Mapping[str, object]:
    """The manifest of a bundle whose files are whole, also where its model may not be loaded.

    Raises:
        BundleError: a file is missing, extra or altered, or the version is another.
    """
    return _verified(folder, expected_version)[1]


def _verified(folder: Path, expected_version: str | None) -> tuple[dict[str, bytes], dict[str, Any], str]:
    """Content files, manifest and version of a bundle whose hashes are those of its manifest."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    wanted = sorted([*_CONTENT_FILES, MANIFEST_FILE])
    if sorted({*names} - {FALLBACK_FILE}) != wanted:
        raise BundleError(f"{folder} holds {names}; a bundle is {wanted}, with {FALLBACK_FILE} where groups fall back.")
    contents = {name: (folder / name).read_bytes() for name in names if name != MANIFEST_FILE}
    manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    hashes = {name: _sha256(content) for name, content in contents.items()}
    promised = manifest.get("files", {})
    altered = sorted(name for name in {*promised, *hashes} if promised.get(name) != hashes.get(name))
    if altered:
        raise BundleError(f"{folder}: {altered} do not match the manifest's hashes. Restore the bundle or rebuild it.")
    version = _version(hashes)
    if version != manifest.get("model_version") or expected_version not in (None, version):
        raise BundleError(f"{folder} is model {version}; the manifest says {manifest.get('model_version')}, "
                          f"asked for was {expected_version}.")  # fmt: skip
    return contents, manifest, version


def _require_ranges(folder: Path, manifest: Mapping[str, Any]) -> None:
    try:
        unmet = unmet_ranges(manifest.get(RANGES, {}))
    except (AttributeError, InvalidSpecifier, TypeError) as error:
        raise BundleError(f"{folder}: {RANGES} of its manifest are no ranges of versions: {error}.") from error
    if unmet:
        raise BundleError(
            f"{folder} was packed for other libraries than are installed: {', '.join(unmet)}. Install those, as the "
            "release that packed it does, or put a model in charge that this release may load (`liftlake rollback`)."
        )


def _contents(fitted: CalibratedModel) -> dict[str, bytes]:
    contents = {
        MODEL_FILE: normalised_bytes(fitted.model),
        CALIBRATION_FILE: fitted.calibration.to_json().encode(),
        SIGNATURE_FILE: _json_bytes(asdict(fitted.model.signature)),
    }
    if fitted.fallback:
        groups = {
            group: {"method": baseline.method, "calibration": json.loads(baseline.calibration.to_json())}
            for group, baseline in fitted.fallback.items()
        }
        contents[FALLBACK_FILE] = _json_bytes(groups)
    return contents


def _fallback(content: bytes, measure: str) -> dict[str, CalibratedBaseline]:
    try:
        groups = {
            str(group): CalibratedBaseline(
                str(item["method"]), measure, Calibration.from_json(json.dumps(item["calibration"]))
            )
            for group, item in json.loads(content).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{FALLBACK_FILE} is not a fallback: {error}.") from error
    unknown = sorted({baseline.method for baseline in groups.values()} - set(BASELINES))
    if unknown:
        raise BundleError(f"{FALLBACK_FILE} names the baselines {unknown}; this release has {sorted(BASELINES)}.")
    return groups


def _signature(content: bytes) -> Signature:
    raw = json.loads(content)
    try:
        columns = tuple((str(name), str(dtype)) for name, dtype in raw["columns"])
        return Signature(str(raw["feature_set"]), columns, str(raw["measure"]), tuple(raw["quantiles"]))
    except (KeyError, TypeError) as error:
        raise BundleError(f"{SIGNATURE_FILE} is not a signature: {error}.") from error


def _version(hashes: Mapping[str, str]) -> str:
    return _sha256(_json_bytes(hashes))


def _json_bytes(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _require_same(folder: Path, contents: Mapping[str, bytes]) -> None:
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    wanted = {**contents, MANIFEST_FILE: _lasting(contents[MANIFEST_FILE])}
    if MANIFEST_FILE in found:
        found[MANIFEST_FILE] = _lasting(found[MANIFEST_FILE])
    if found != wanted:
        differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise BundleError(f"{folder} exists with other content in {differing}; a bundle is never overwritten.")


def _lasting(manifest: bytes) -> bytes:
    return _json_bytes({name: value for name, value in json.loads(manifest).items() if name not in _FIRST_SAVE})


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

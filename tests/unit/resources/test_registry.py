"""The registry: one run and one version per model, whatever was cut short; the alias of the champion."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, event

from resources.registry import MODEL_NAME, Registry, RegistryError
from resources.settings import load_settings

A, B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a registry that was opened once: the migrations that make it take seconds."""
    home = tmp_path_factory.mktemp("registry")
    assert Registry(load_settings({"LIFTLAKE_HOME": str(home)})).champion() is None
    return home


@pytest.fixture
def registry(empty: Path, tmp_path: Path) -> Registry:
    shutil.copytree(empty, tmp_path / "home")
    return Registry(load_settings({"LIFTLAKE_HOME": str(tmp_path / "home")}))


@pytest.fixture
def impatient() -> Iterator[None]:
    """MLflow waits 20 seconds for a locked SQLite, whatever its address says; here a tenth of one."""

    def shorter(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> object:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 100"), parameters

    event.listen(Engine, "before_cursor_execute", shorter, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", shorter)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.cbm").write_bytes(b"weights")
    return tmp_path / "bundle"


def counts(tmp_path: Path) -> tuple[int, int]:
    """Tracked runs and registered versions."""
    uri = load_settings({"LIFTLAKE_HOME": str(tmp_path / "home")}).registry_uri
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name(MODEL_NAME)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return len(runs), len(client.search_model_versions(f"name = '{MODEL_NAME}'"))


@pytest.mark.parametrize("cut", ["log_batch", "log_artifacts", "set_terminated", "create_model_version"])
def test_a_record_that_was_cut_short_is_completed(
    registry: Registry, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, cut, dies)
        with pytest.raises(KeyboardInterrupt):
            registry.record(A, bundle, {"depth": 6}, {"wape_h1": 44.0})
    assert registry.find(A) is None
    assert registry.record(A, bundle, {"depth": 6}, {"wape_h1": 44.0}) == "1"
    assert registry.record(A, bundle, {"depth": 6}, {"wape_h1": 44.0}) == "1"
    assert counts(tmp_path) == (1, 1)


def test_the_alias_follows_and_an_unknown_model_has_none(registry: Registry, bundle: Path) -> None:
    assert registry.champion() is None
    for version in (A, B):
        registry.record(version, bundle, {}, {})
        registry.project_champion(version)
        assert registry.champion() == version
    registry.project_champion(A)
    assert registry.champion() == A
    with pytest.raises(LookupError, match="not in the registry"):
        registry.project_champion("c" * 64)


def test_a_registry_that_does_not_answer_says_so_without_its_address(registry: Registry, bundle: Path, tmp_path: Path):
    registry.record(A, bundle, {}, {})
    registry.project_champion(A)
    file = tmp_path / "home" / "registry" / "mlflow.db"
    content = file.read_bytes()
    file.write_bytes(b"no database at all, but bytes of something else" * 200)
    spoilt = Registry(load_settings({"LIFTLAKE_HOME": str(tmp_path / "home")}))
    for ask in (spoilt.champion, lambda: spoilt.find(A), lambda: spoilt.record(B, bundle, {}, {})):
        with pytest.raises(RegistryError, match="doctor --mend") as said:
            ask()
        assert str(tmp_path) not in str(said.value)
    assert file.read_bytes().startswith(b"no database")
    file.write_bytes(content)
    assert Registry(load_settings({"LIFTLAKE_HOME": str(tmp_path / "home")})).champion() == A


def test_a_locked_registry_is_named(registry: Registry, bundle: Path, tmp_path: Path, impatient: None):
    registry.record(A, bundle, {}, {})
    with closing(sqlite3.connect(tmp_path / "home" / "registry" / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryError):
            registry.project_champion(A)
    registry.project_champion(A)
    assert registry.champion() == A

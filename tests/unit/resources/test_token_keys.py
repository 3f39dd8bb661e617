"""Which key a lake has, and every way into and out of a rotation."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.settings import Settings, SettingsError, load_settings
from resources.token_keys import (
    KeyRecord,
    RotationPending,
    begin_rotation,
    end_rotation,
    fingerprint,
    key_version,
    mark_publishing,
    record_of,
    require_no_rotation,
    rotation_of,
    token_key,
)

OLD, NEW, OTHER = b"old-secret-canary", b"new-secret-canary", b"other-secret-canary"


def lake(home: Path, key: bytes | None = OLD) -> Settings:
    given = {"LIFTLAKE_TOKEN_KEY": key.decode()} if key else {}
    return load_settings({"LIFTLAKE_HOME": str(home), **given})


def test_the_first_key_is_remembered_and_another_refused(tmp_path: Path):
    assert token_key(lake(tmp_path)) == (OLD, 1)
    assert token_key(lake(tmp_path)) == (OLD, 1)
    with pytest.raises(SettingsError, match="not the key of this lake's tokens \\(version 1\\)"):
        token_key(lake(tmp_path, NEW))


def test_a_rotation_leads_to_the_next_version(tmp_path: Path):
    token_key(lake(tmp_path))
    rotation = begin_rotation(lake(tmp_path), NEW)
    assert key_version(lake(tmp_path)) == 2
    assert token_key(lake(tmp_path, NEW)) == (NEW, 2)
    with pytest.raises(SettingsError):
        token_key(lake(tmp_path, OLD))
    noted = mark_publishing(lake(tmp_path), rotation, {"silver.dim_household": 7})
    assert rotation_of(lake(tmp_path)) == noted
    end_rotation(lake(tmp_path), noted)
    assert record_of(lake(tmp_path)) == KeyRecord(2, fingerprint(NEW))
    assert rotation_of(lake(tmp_path)) is None
    assert token_key(lake(tmp_path, NEW)) == (NEW, 2)


def test_an_interrupted_rotation_is_taken_up_by_its_own_key_only(tmp_path: Path):
    token_key(lake(tmp_path))
    require_no_rotation(lake(tmp_path))
    first = begin_rotation(lake(tmp_path), NEW)
    assert begin_rotation(lake(tmp_path), NEW) == first
    with pytest.raises(SettingsError, match="interrupted"):
        begin_rotation(lake(tmp_path), OTHER)
    with pytest.raises(RotationPending, match="tokens rotate"):
        require_no_rotation(lake(tmp_path))


def test_the_lakes_own_key_is_no_new_one(tmp_path: Path):
    token_key(lake(tmp_path))
    with pytest.raises(SettingsError, match="choose a new secret"):
        begin_rotation(lake(tmp_path), OLD)
    assert rotation_of(lake(tmp_path)) is None


def test_no_file_and_no_text_holds_a_key(tmp_path: Path):
    token_key(lake(tmp_path))
    rotation = begin_rotation(lake(tmp_path), NEW)
    mark_publishing(lake(tmp_path), rotation, {"silver.x": 1})
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = f"{held!r} {rotation} {lake(tmp_path)}"
    assert "canary" not in shown

"""The key of a lake's household tokens: which one it is, and the change to another.

Belongs here: recognising a key without keeping it, and the journal of a rotation. Does not belong here: tokens
(ml.tokens), what is rebuilt and when readers see it (assets, cli.tokens).

A lake remembers of its key a version and a fingerprint, a keyed hash of a fixed text. So a run under another key is
refused before it writes a token. A rotation goes: the journal is opened; tokens and the silver tables that carry them
are written behind; the journal notes the versions that passed; all their views are moved; the key's record is replaced
and the journal goes. Stopped before the versions are noted, readers see the old key's tokens alone; stopped after, the
next command moves the rest of the views before it does anything else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from resources.settings import Settings, SettingsError

RECORD, JOURNAL = "token_key.json", "token_rotation.json"
FIRST_VERSION = 1


@dataclass(frozen=True)
class KeyRecord:
    """What is kept of a key: its version and its fingerprint."""

    version: int
    fingerprint: str


@dataclass(frozen=True)
class Rotation:
    """A rotation under way: the key it leads to, and the versions to publish once all of them passed their audits."""

    key: KeyRecord
    publishing: Mapping[str, int] = field(default_factory=dict)


class RotationPending(RuntimeError):
    """A rotation was interrupted; the message says how it is completed."""


def fingerprint(key: bytes) -> str:
    """16 hexadecimal digits that tell keys apart: HMAC-SHA-256 (RFC 2104) of a fixed text, cut."""
    return hmac.new(key, b"liftlake token key", hashlib.sha256).hexdigest()[:16]


def record_of(settings: Settings) -> KeyRecord | None:
    """The key that the lake's tokens were made with; None before the first token."""
    content = _read(settings.home / RECORD)
    return KeyRecord(**content) if content is not None else None


def rotation_of(settings: Settings) -> Rotation | None:
    """The rotation under way, if any."""
    content = _read(settings.home / JOURNAL)
    return Rotation(KeyRecord(**content["key"]), content["publishing"]) if content is not None else None


def key_version(settings: Settings) -> int:
    """The version of the key that tokens are made with now."""
    rotation, record = rotation_of(settings), record_of(settings)
    if rotation is not None:
        return rotation.key.version
    return record.version if record is not None else FIRST_VERSION


def token_key(settings: Settings) -> tuple[bytes, int]:
    """The key to make tokens with, and its version; the first one is remembered.

    Raises:
        SettingsError: there is no key, or it is not the one of this lake's tokens.
    """
    key = settings.household_key()
    rotation, record = rotation_of(settings), record_of(settings)
    wanted = rotation.key if rotation is not None else record
    if wanted is None:
        wanted = KeyRecord(FIRST_VERSION, fingerprint(key))
        _write(settings.home / RECORD, asdict(wanted))
    if not hmac.compare_digest(wanted.fingerprint, fingerprint(key)):
        raise SettingsError(
            f"LIFTLAKE_TOKEN_KEY is not the key of this lake's tokens (version {wanted.version}): set that key, or "
            "change to another with `liftlake tokens rotate`."
        )
    return key, wanted.version


def begin_rotation(settings: Settings, new_key: bytes) -> Rotation:
    """Open the journal, or take up the one that is open.

    Raises:
        SettingsError: the new key is the lake's own, or not the one that an open rotation leads to.
    """
    pending, record = rotation_of(settings), record_of(settings)
    if pending is not None:
        if pending.key.fingerprint != fingerprint(new_key):
            raise SettingsError("A rotation to another key was interrupted: set LIFTLAKE_NEW_TOKEN_KEY to that key.")
        return pending
    if record is not None and record.fingerprint == fingerprint(new_key):
        raise SettingsError("LIFTLAKE_NEW_TOKEN_KEY is the key that the lake has: choose a new secret.")
    version = (record.version if record is not None else FIRST_VERSION) + 1
    rotation = Rotation(KeyRecord(version, fingerprint(new_key)))
    _write(settings.home / JOURNAL, asdict(rotation))
    return rotation


def mark_publishing(settings: Settings, rotation: Rotation, versions: Mapping[str, int]) -> Rotation:
    """Note the versions that passed: from here on the rotation only goes forward."""
    noted = Rotation(rotation.key, dict(versions))
    _write(settings.home / JOURNAL, asdict(noted))
    return noted


def end_rotation(settings: Settings, rotation: Rotation) -> None:
    """The new key is the lake's."""
    _write(settings.home / RECORD, asdict(rotation.key))
    (settings.home / JOURNAL).unlink()


def require_no_rotation(settings: Settings) -> None:
    """Raise RotationPending while a rotation is under way: its tables may not be written beside it."""
    rotation = rotation_of(settings)
    if rotation is not None:
        raise RotationPending(
            f"A rotation to token key version {rotation.key.version} was interrupted. Readers see the old tokens; "
            "complete it with `liftlake tokens rotate` under the same LIFTLAKE_NEW_TOKEN_KEY."
        )


def _read(path: Path) -> dict | None:
    return json.loads(path.read_bytes()) if path.exists() else None


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".json.new")
    partial.write_text(json.dumps(content, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)

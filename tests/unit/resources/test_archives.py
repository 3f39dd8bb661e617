"""Files out of an archive: as they were put in, and nowhere else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from resources.archives import extract_files


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in values.items():
        setattr(made, key, value)
    return made


def test_a_file_keeps_its_content_time_and_mode(tmp_path: Path):
    key = member("keys/token", mode=0o600, mtime=1_500_000_000.5)
    with packed((member("keys", tarfile.DIRTYPE), b""), (key, b"secret"), (member("log", mode=0o777), b"")) as archive:
        extract_files(archive, tmp_path / "home")
    found = tmp_path / "home" / "keys" / "token"
    assert found.read_bytes() == b"secret"
    assert found.stat().st_mtime == pytest.approx(1_500_000_000.5, abs=1)
    assert [path.stat().st_mode & 0o777 for path in (found, tmp_path / "home" / "log")] == [0o600, 0o755]


@pytest.mark.parametrize(
    "broken",
    [
        member("../outside"),
        member("/outside"),
        member("link", tarfile.SYMTYPE, linkname="../outside"),
        member("link", tarfile.LNKTYPE, linkname="/etc/hostname"),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=["above", "absolute", "link", "hard link", "pipe"],
)
def test_nothing_else_is_written(tmp_path: Path, broken: tarfile.TarInfo):
    with packed((broken, b"")) as archive, pytest.raises(tarfile.TarError, match="leads out of the folder"):
        extract_files(archive, tmp_path / "home")
    assert [path.name for path in tmp_path.rglob("*")] == ["home"]

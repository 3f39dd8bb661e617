"""The bytes of source files: identity, compression, and whole files that cannot be read.

Belongs here: digests of a file and of its content, gzip, and the reasons for refusing a file as a whole.
Does not belong here: the records inside (records).
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MAX_RECORD_BYTES = 16 * 1024**2
GZIP_MAGIC = b"\x1f\x8b"
# First bytes of files that are no text: Parquet, ZIP (and Excel), old Excel, ORC, Avro, UTF-16.
FOREIGN = {
    b"PAR1": "Parquet", b"PK\x03\x04": "ZIP or Excel", b"\xd0\xcf\x11\xe0": "old Excel", b"ORC": "ORC",
    b"Obj\x01": "Avro", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
WHITE = b" \t\r\n\x0b\x0c"


class SourceFileError(RuntimeError):
    """A source file cannot be read; the message names it and what is wrong. Nothing was written.

    Attributes:
        rule_id: the rule that the file as a whole broke, `file.<what>`; None where there is no file.
    """

    def __init__(self, message: str, rule_id: str | None = None) -> None:
        super().__init__(message)
        self.rule_id = rule_id


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes as delivered.

    Raises:
        SourceFileError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read: {error.strerror}.") from error


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's content without its compression: the same under any name and compression.

    Raises:
        SourceFileError: rule file.truncated, the compression is cut off or spoilt.
    """
    if not _is_gzip(path):
        return file_sha256(path)
    with content(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == GZIP_MAGIC


@contextmanager
def content(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file without its compression; a cut or spoilt one is refused wherever it shows."""
    try:
        with gzip.open(path, "rb") if _is_gzip(path) else path.open("rb") as stream:
            yield stream  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceFileError(f"{path} is cut off or spoilt: {error}. Deliver it again.", "file.truncated") from error
    except OSError as error:
        raise SourceFileError(f"{path} cannot be read: {error.strerror or error}.", "file.unreadable") from error


@contextmanager
def uncompressed(path: Path, scratch: Path) -> Iterator[Path]:
    """The path itself, or a copy of a gzip file's content in the folder `scratch`."""
    if not _is_gzip(path):
        yield path
        return
    copy = scratch / path.name.removesuffix(".gz")
    with content(path) as stream, copy.open("wb") as out:
        while chunk := stream.read(1024**2):
            out.write(chunk)
    yield copy
    copy.unlink()


def require_text(path: Path) -> None:
    with content(path) as stream:
        head = stream.read(4096)
    if not head.strip(WHITE):
        raise SourceFileError(f"{path} is empty. Deliver it again.", "file.empty")
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            rule = "file.encoding" if name.startswith("UTF") else "file.format"
            raise SourceFileError(f"{path} is {name}, not text as its mapping says.", rule)


def text_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, bytes with their line end) of every line that is not blank."""
    number = 0
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        number += 1
        if len(line) > MAX_RECORD_BYTES:
            limit = MAX_RECORD_BYTES // 1024**2
            raise SourceFileError(
                f"{path}: line {number} is longer than {limit} MiB. Is it the right format?", "file.record_too_long"
            )
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line.strip(WHITE):
            yield number, line

"""The files of a lake's tables as this process sees them: in a folder, or in an S3-compatible store.

Belongs here: the way to them, and the place of a file that the server is to read. Does not belong here: what a file of
a table says (soundness, formats), tables (lake). Paths are relative to the warehouse.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyarrow.fs import FileSystem, FileType, LocalFileSystem, S3FileSystem, SubTreeFileSystem

from resources.settings import STORE, Settings

LOG = "_delta_log"
STAGED = "_staged"
# Of a store that is busy: Arrow's own are of one and three seconds.
CONNECT_SECONDS, REQUEST_SECONDS = 10, 60


def table_files(settings: Settings) -> FileSystem:
    """The warehouse as a file system.

    A store knows this process by what its tools know it by: AWS_ACCESS_KEY_ID, a profile, the role of the machine.
    """
    if not settings.is_in_store:
        return SubTreeFileSystem(settings.warehouse, LocalFileSystem())
    store = S3FileSystem(
        endpoint_override=settings.store_endpoint, connect_timeout=CONNECT_SECONDS, request_timeout=REQUEST_SECONDS
    )
    return SubTreeFileSystem(settings.warehouse.removeprefix(STORE), store)


def folder_of(table: str) -> str:
    """Where the files of `schema.name` are."""
    return table.replace(".", ".db/")


def location_of(settings: Settings, table: str) -> str:
    """Where the files of `schema.name` are, as the server names it."""
    return f"{settings.warehouse}/{folder_of(table)}"


def log_of(table: str) -> str:
    """Where the commits of `schema.name` are."""
    return f"{folder_of(table)}/{LOG}"


def place_of(location: str) -> str:
    """What Spark names file:/..., or s3a://... with escapes, as settings do."""
    return unquote(location if location.startswith(STORE) else urlsplit(location).path)


def within_warehouse(settings: Settings, location: str) -> str:
    """A place that Spark names, as a path of the warehouse's file system."""
    return place_of(location).removeprefix(f"{settings.warehouse}/")


def is_there(files: FileSystem, path: str) -> bool:
    return bool(files.get_file_info(path).type != FileType.NotFound)


def content(files: FileSystem, path: str) -> bytes:
    """All of a file. Raises FileNotFoundError."""
    with files.open_input_file(path) as stream:
        return bytes(stream.read())


def has_files(settings: Settings, table: str) -> bool:
    """Whether a table was ever written, told without Spark."""
    return is_there(table_files(settings), log_of(table))


def make_warehouse(settings: Settings) -> None:
    """The folder of a warehouse on this machine; a store makes its own as files come."""
    if not settings.is_in_store:
        Path(settings.warehouse).mkdir(parents=True, exist_ok=True)


@contextmanager
def staging_place(settings: Settings, name: str) -> Iterator[tuple[FileSystem, str]]:
    """Where to write a file that the server reads inside the block (docs/adr/0004); it is gone afterwards."""
    files, path = table_files(settings), f"{STAGED}/{name}"
    files.create_dir(STAGED)
    try:
        yield files, path
    finally:
        if is_there(files, path):
            files.delete_file(path)

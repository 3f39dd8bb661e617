"""What a machine needs for Liftlake to run: one line per precondition, with the mend for what fails.

Belongs here: looking at the machine. Does not belong here: printing (cli) or mending.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from grpc import RpcError
from pyspark.errors import PySparkException

from resources.jars import ToolchainError, java_executable, missing_jars, server_jars, server_locks
from resources.remote import shown
from resources.settings import Settings
from resources.spark import SparkDoor
from resources.spark_server import LOOPBACK, SparkServerError, log_path, running
from resources.table_files import table_files

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
NEEDED_DISK_GB, NEEDED_MEMORY_GB = 4.0, 8.0
GB = 1024**3
FULL_BELOW_BYTES = 32 * 1024**2


@dataclass(frozen=True)
class Finding:
    """One precondition: its name, whether it holds, what was found, and the mend when it does not."""

    name: str
    is_met: bool
    found: str
    mend: str = ""


def look(settings: Settings) -> list[Finding]:
    """All preconditions of this machine and lake, in the order in which they matter."""
    probes: list[Callable[[Settings], Finding | None]] = [
        _python, _home, _disk, _memory, _java, _jars, _store, _spark_port, _ui_port, _worker_python
    ]  # fmt: skip
    return [finding for probe in probes if (finding := probe(settings)) is not None]


def unmet(settings: Settings) -> Finding | None:
    """The first that fails of what any writing needs: home, store, room. Looked at before anything starts."""
    found = (probe(settings) for probe in (_home, _store, _disk))
    return next((finding for finding in found if finding is not None and not finding.is_met), None)


def full_disk(settings: Settings) -> str | None:
    """The sentence for a disk that has filled up; None while there is room. Asked when something has failed."""
    existing = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    if shutil.disk_usage(existing).free > FULL_BELOW_BYTES:
        return None
    return f"The disk of {settings.home} is full. Free some space and run again: what was published is whole."


def lost_server(settings: Settings, error: Exception) -> str | None:
    """The sentence for a local Spark server that is gone; None while it runs. Asked when something has failed."""
    if not isinstance(error, PySparkException | RpcError) or settings.spark_remote or running(settings):
        return None
    return (
        f"The Spark server of {settings.home} is gone; its log is {log_path(settings)}. Run again: another one is "
        "started, what was published is whole, and what was begun is undone."
    )


def _python(_: Settings) -> Finding:
    version = sys.version_info[:2]
    found = f"{version[0]}.{version[1]}"
    return Finding("Python", OLDEST_PYTHON <= version <= NEWEST_PYTHON, found, "use Python 3.11, 3.12 or 3.13")


def _home(settings: Settings) -> Finding:
    mend = "choose a folder that you may write: set LIFTLAKE_HOME"
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        probe = settings.home / ".write-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding("Home", is_met=False, found=f"{settings.home}: {error.strerror}", mend=mend)
    return Finding("Home", is_met=True, found=str(settings.home))


def _disk(settings: Settings) -> Finding:
    existing = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / GB
    needed = NEEDED_DISK_GB if not (settings.is_in_store or Path(settings.warehouse).exists()) else 0.5
    mend = f"free some space, or set LIFTLAKE_HOME to a disk with {needed:g} GB"
    return Finding("Disk", free >= needed, f"{free:.1f} GB free, {needed:g} GB needed", mend)


def _memory(_: Settings) -> Finding:
    total = psutil.virtual_memory().total / GB
    mend = "lower LIFTLAKE_SPARK_MEMORY and close other programs"
    return Finding("Memory", total >= NEEDED_MEMORY_GB, f"{total:.1f} GB, {NEEDED_MEMORY_GB:g} GB needed", mend)


def _java(settings: Settings) -> Finding:
    try:
        return Finding("Java", is_met=True, found=str(java_executable(settings)))
    except ToolchainError as error:
        return Finding("Java", is_met=False, found=str(error), mend="unset LIFTLAKE_JAVA")


def _jars(settings: Settings) -> Finding:
    missing = sum(len(missing_jars(settings, lock)) for lock in server_locks(settings))
    if missing:
        return Finding("JARs", is_met=True, found=f"{missing} to be downloaded by the first run")
    try:
        return Finding("JARs", is_met=True, found=f"{len(server_jars(settings))} verified in {settings.jar_cache}")
    except ToolchainError as error:
        return Finding("JARs", is_met=False, found=str(error), mend="delete the named file and run again")


def _store(settings: Settings) -> Finding | None:
    """Whether this process may look into the store of the tables; None where they lie in a folder."""
    if not settings.is_in_store:
        return None
    try:
        table_files(settings).get_file_info("")
    except OSError as error:
        mend = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL for a store other than Amazon's"
        return Finding("Store", is_met=False, found=f"{settings.warehouse}: {str(error).splitlines()[0]}", mend=mend)
    return Finding("Store", is_met=True, found=f"{settings.warehouse} answers")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _spark_port(settings: Settings) -> Finding:
    if settings.spark_remote:
        return _remote(settings)
    record = running(settings)
    if record is not None:
        return Finding("Spark", is_met=True, found=f"local server runs on port {record.port}")
    if settings.spark_port == 0:
        return Finding("Spark", is_met=True, found="local server starts on demand, on a free port")
    mend = "set LIFTLAKE_SPARK_PORT to a free port, or unset it"
    return Finding("Spark", _is_free(settings.spark_port), f"port {settings.spark_port}", mend)


def _remote(settings: Settings) -> Finding:
    door = SparkDoor(settings)
    try:
        door.session()
    except SparkServerError as error:
        return Finding("Spark", is_met=False, found=str(error), mend="see docs/cluster.md")
    door.close()
    return Finding(
        "Spark", is_met=True, found=f"{shown(settings)} of SPARK_REMOTE answers; tables in {settings.warehouse}"
    )


def _ui_port(settings: Settings) -> Finding:
    port = settings.ui_port
    mend = "set LIFTLAKE_UI_PORT to a free port (or the UI runs already)"
    return Finding("UI port", _is_free(port), f"port {port}", mend)


def _worker_python(_: Settings) -> Finding:
    executable = Path(sys.executable)
    return Finding("Worker Python", executable.exists(), str(executable), "run `make setup` again")

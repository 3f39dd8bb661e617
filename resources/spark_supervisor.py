"""The process that owns the local Spark server while it runs: starts the JVM, stops it when nobody is connected.

Run as `python -m resources.spark_supervisor` by spark_server; nothing imports it.
"""

from __future__ import annotations

import logging
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from resources.jars import ToolchainError
from resources.locks import Locked, file_lock
from resources.settings import Settings, SettingsError, child_environment, load_settings
from resources.spark_jvm import java_command, local_properties
from resources.spark_server import ServerRecord, free_port, is_port_open, record_path, state_folder, write_record
from resources.table_files import make_warehouse

POLL_SECONDS = 1.0
log = logging.getLogger("liftlake.spark")


def has_clients(process: psutil.Process, port: int) -> bool:
    """True while somebody holds a connection to the server's port."""
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
        for connection in process.net_connections(kind="tcp")
    )


def supervise(settings: Settings) -> int:
    """Run the server until it is asked to stop, dies, or nobody was connected for the idle time."""
    port = settings.spark_port or free_port()
    token = secrets.token_urlsafe(32)
    state = state_folder(settings)
    for folder in (state / "scratch", settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
    make_warehouse(settings)
    # A child inherits what its parent ignores, and a JVM that ignores SIGTERM can only be killed. Dagster lets it do
    # what SIGINT does, which is nothing where a shell starts something in the background.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    jvm = subprocess.Popen(
        java_command(settings, local_properties(settings, port)),
        cwd=state,
        # Workers run this interpreter and find the project; the token stays out of the process list.
        env=child_environment({"PYSPARK_PYTHON": sys.executable, "SPARK_CONNECT_AUTHENTICATE_TOKEN": token}),
        stdin=subprocess.DEVNULL,
    )
    signal.signal(signal.SIGTERM, lambda *_: jvm.terminate())
    process = psutil.Process(jvm.pid)
    while jvm.poll() is None and not is_port_open(port):
        time.sleep(0.1)
    if jvm.poll() is None:
        write_record(settings, ServerRecord(jvm.pid, process.create_time(), port, token))
    last_used = time.monotonic()
    while jvm.poll() is None:
        time.sleep(POLL_SECONDS)
        try:
            if has_clients(process, port):
                last_used = time.monotonic()
        except psutil.NoSuchProcess:
            break
        if time.monotonic() - last_used > settings.spark_idle_minutes * 60:
            log.info("nobody connected for %s minutes: stopping", settings.spark_idle_minutes)
            jvm.terminate()
    code = jvm.wait()
    record_path(settings).unlink(missing_ok=True)
    return code


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        settings = load_settings()
        lock = Path(state_folder(settings)) / "server.lock"
        with file_lock(lock, wait_seconds=5, busy="a Spark server already runs for this lake"):
            return supervise(settings)
    except (SettingsError, ToolchainError, Locked) as error:
        log.error("Error: %s", error)
        return 2


if __name__ == "__main__":
    sys.exit(main())

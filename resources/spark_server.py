"""The one local Spark Connect server of a lake: found, started on demand, stopped.

Belongs here: the client's side of its life (its record, start, stop). The process that owns the JVM while it runs is
spark_supervisor; sessions are made in spark.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from resources.jars import java_executable, server_jars
from resources.locks import file_lock
from resources.settings import PROJECT_ROOT, Settings, child_environment, server_environment

START_SECONDS = 90.0
STOP_SECONDS = 20.0
LOOPBACK = "127.0.0.1"
KEPT_DAYS = 365
# How Delta keeps the log of a table.
#
# A view is pinned to the version that was audited, however long a newer one has been waiting. By default Delta refuses
# to read a version that was superseded more than seven days ago; it forgets after as many days which files a version
# lost, whereupon VACUUM takes them for nobody's; and it drops commits after thirty.
#
# A checkpoint takes a second and comes by default with every tenth commit: with a batch of a topic four at once.
LOGS = {
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    "spark.databricks.delta.properties.defaults.deletedFileRetentionDuration": f"interval {KEPT_DAYS} days",
    "spark.databricks.delta.properties.defaults.logRetentionDuration": f"interval {KEPT_DAYS} days",
    "spark.databricks.delta.properties.defaults.checkpointInterval": "100",
}


class SparkServerError(RuntimeError):
    """The local server does not start or does not stop; the message says why and what to do."""


@dataclass(frozen=True)
class ServerRecord:
    """What `spark/server.json` says of a running server. A process is named by pid and start time together."""

    pid: int
    started: float
    port: int
    token: str

    @property
    def url(self) -> str:
        # The client sends the token without TLS only to the name "localhost".
        return f"sc://localhost:{self.port}/;token={self.token}"


def state_folder(settings: Settings) -> Path:
    """Where the server keeps record, locks, log, catalog and scratch space."""
    return settings.home / "spark"


def record_path(settings: Settings) -> Path:
    return state_folder(settings) / "server.json"


def log_path(settings: Settings) -> Path:
    return settings.logs / "spark-server.log"


def is_port_open(port: int, address: str = LOOPBACK) -> bool:
    """True when something listens on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


def free_port(address: str = LOOPBACK) -> int:
    """A port of this machine's address that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _is_alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def running(settings: Settings) -> ServerRecord | None:
    """The record of the lake's server if its process lives and listens."""
    try:
        record = ServerRecord(**json.loads(record_path(settings).read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
    return record if _is_alive(record.pid, record.started) and is_port_open(record.port) else None


def write_record(settings: Settings, record: ServerRecord) -> None:
    """Store the record for clients; only its owner may read it, because it holds the token."""
    target = record_path(settings)
    draft = target.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
    draft.replace(target)


def ensure(settings: Settings) -> ServerRecord:
    """The running server of this lake, started when there is none.

    Raises:
        SparkServerError: it does not come up; the message holds the reason from its log.
        ToolchainError: Java or a JAR is missing or wrong.
    """
    record = running(settings)
    if record is not None:
        return record
    busy = "Another process has been starting this lake's Spark server for too long: see logs/spark-server.log."
    with file_lock(state_folder(settings) / "start.lock", wait_seconds=START_SECONDS, busy=busy):
        return running(settings) or _start(settings)


def _start(settings: Settings) -> ServerRecord:
    if settings.spark_port and is_port_open(settings.spark_port):
        raise SparkServerError(
            f"Port {settings.spark_port} is taken: set LIFTLAKE_SPARK_PORT to a free port, or unset it to let "
            "Liftlake choose one."
        )
    java_executable(settings)
    server_jars(settings)
    settings.logs.mkdir(parents=True, exist_ok=True)
    record_path(settings).unlink(missing_ok=True)
    with log_path(settings).open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "resources.spark_supervisor"],
            cwd=PROJECT_ROOT,
            env=child_environment(server_environment(settings)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        record = running(settings)
        if record is not None:
            # It outlives this process on purpose: nobody here will wait for it.
            supervisor.returncode = 0
            return record
        if supervisor.poll() is not None:
            break
        time.sleep(0.1)
    if supervisor.poll() is None:
        supervisor.terminate()
    raise SparkServerError(f"The local Spark server did not start: {_reason(log_path(settings))}")


def _reason(log: Path) -> str:
    """The most telling line of the server's log, with the mend where we know it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    known = {
        "Another instance of Derby": "another process holds the catalog; run `liftlake down` first.",
        "No space left on device": "the disk is full; free some space and run again.",
        "Could not reserve enough space": "not enough memory; lower LIFTLAKE_SPARK_MEMORY.",
    }
    for line in lines:
        for sign, mend in known.items():
            if sign in line:
                return mend
    telling = [line for line in lines if "Exception" in line or "rror" in line]
    return f"{(telling or lines or ['it wrote nothing'])[-1].strip()} (whole log: {log})"


def stop(settings: Settings) -> bool:
    """Stop the lake's server and wait until it is gone. True when there was one."""
    record = running(settings)
    if record is None:
        return False
    process = psutil.Process(record.pid)
    os.kill(record.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    record_path(settings).unlink(missing_ok=True)
    return True

"""The process that owns the local Spark server while it runs: starts the JVM, stops it when nobody is connected.

Run as `python -m resources.spark_supervisor` by spark_server; nothing imports it.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from resources.jars import ToolchainError, java_executable, spark_jars, verified_jars
from resources.locks import Locked, file_lock
from resources.settings import PROJECT_ROOT, Settings, SettingsError, child_environment, load_settings
from resources.spark_server import (
    LOOPBACK,
    OLD_VERSIONS,
    ServerRecord,
    is_port_open,
    record_path,
    state_folder,
    write_record,
)

POLL_SECONDS = 1.0
# What Spark opens for itself on Java 17 and later (its JavaModuleOptions); without them Arrow and serializers fail.
OPENED_PACKAGES = (
    *(f"java.base/java.{name}" for name in ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util")),
    *(f"java.base/java.util.concurrent{name}" for name in ("", ".atomic")),
    *(f"java.base/{name}" for name in ("jdk.internal.ref", "sun.nio.ch", "sun.nio.cs")),
    *(f"java.base/sun.{name}" for name in ("security.action", "util.calendar")),
    "java.security.jgss/sun.security.krb5",
)
log = logging.getLogger("liftlake.spark")


def spark_properties(settings: Settings, port: int) -> dict[str, str]:
    """Every `spark.*` setting of the local server, tuned for two cores (measured, see docs/adr/0002)."""
    state = state_folder(settings)
    return {
        "spark.master": f"local[{settings.threads}]",
        "spark.app.name": "liftlake",
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.host": LOOPBACK,
        "spark.ui.enabled": "false",
        "spark.local.dir": str(state / "scratch"),
        "spark.sql.warehouse.dir": str(settings.warehouse),
        "spark.sql.catalogImplementation": "hive",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={state}/catalog;create=true",
        "spark.hadoop.datanucleus.schema.autoCreateAll": "true",
        "spark.hadoop.hive.metastore.schema.verification": "false",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(2 * settings.threads),
        "spark.databricks.delta.snapshotPartitions": "2",
        # VACUUM lists a table in so many tasks; by default in 10,000.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
        **OLD_VERSIONS,
        "spark.sql.parquet.compression.codec": "snappy",
        # Spark's default is the 12-byte INT96, which has no statistics: a fifth more work to write receipts.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Small files read in several tasks: the promotions come as one row group.
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.connect.grpc.maxInboundMessageSize": str(256 * 1024 * 1024),
        "spark.sql.session.localRelationCacheThreshold": str(64 * 1024 * 1024),
    }


def java_command(settings: Settings, port: int) -> list[str]:
    """The whole command line of the server's JVM."""
    jars = [str(path) for path in verified_jars(settings)]
    opens = [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED_PACKAGES]
    properties = [f"-D{name}={value}" for name, value in spark_properties(settings, port).items()]
    return [
        str(java_executable(settings)),
        f"-Xmx{settings.spark_memory}",
        # Throughput counts, pauses do not; a tenth less processor time than the default collector (docs/adr/0002).
        "-XX:+UseParallelGC",
        # Spark loads 45,000 classes. From its small default Java collects all garbage each time it makes room for more.
        "-XX:MetaspaceSize=384m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+IgnoreUnrecognizedVMOptions",
        "--enable-native-access=ALL-UNNAMED",
        "-Duser.timezone=UTC",
        f"-Dderby.stream.error.file={settings.logs}/derby.log",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Dlog4j2.configurationFile={PROJECT_ROOT / 'deploy' / 'log4j2.properties'}",
        *opens,
        *properties,
        "-cp",
        os.pathsep.join([f"{spark_jars()}/*", *jars]),
        "org.apache.spark.sql.connect.service.SparkConnectServer",
    ]


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


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
    for folder in (state / "scratch", settings.warehouse, settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
    jvm = subprocess.Popen(
        java_command(settings, port),
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

"""The command line of a lake's Spark Connect server: Java's options, Spark's settings.

Belongs here: what every server of a lake is started with, on one machine or in front of a cluster. Does not belong
here: the processes (spark_supervisor for the local server).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from resources.jars import java_executable, server_jars, spark_jars
from resources.settings import PROJECT_ROOT, Settings
from resources.spark_server import LOGS, LOOPBACK, state_folder

# What Spark opens for itself on Java 17 and later (its JavaModuleOptions); without them Arrow and serializers fail.
OPENED_PACKAGES = (
    *(f"java.base/java.{name}" for name in ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util")),
    *(f"java.base/java.util.concurrent{name}" for name in ("", ".atomic")),
    *(f"java.base/{name}" for name in ("jdk.internal.ref", "sun.nio.ch", "sun.nio.cs")),
    *(f"java.base/sun.{name}" for name in ("security.action", "util.calendar")),
    "java.security.jgss/sun.security.krb5",
)


# Columns of which nearly every value is another: a dictionary of them is built, hashed and thrown away.
SELDOM_REPEATED = ("row_hash", "event_id", "properties")


def local_properties(settings: Settings, port: int) -> dict[str, str]:
    """Every `spark.*` setting of the local server."""
    return {
        **server_properties(settings, port),
        "spark.master": f"local[{settings.threads}]",
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.host": LOOPBACK,
    }


def server_properties(settings: Settings, port: int) -> dict[str, str]:
    """The `spark.*` settings of any server of a lake, tuned for two cores (measured, see docs/adr/0002)."""
    state = state_folder(settings)
    return {
        "spark.app.name": "liftlake",
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        # What a page of Spark's own would show of past queries: plans of many rules are long texts.
        "spark.sql.ui.retainedExecutions": "20",
        "spark.ui.retainedJobs": "50",
        "spark.ui.retainedStages": "50",
        "spark.ui.retainedTasks": "1000",
        "spark.local.dir": str(state / "scratch"),
        "spark.sql.warehouse.dir": settings.warehouse,
        "spark.sql.catalogImplementation": "hive",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={state}/catalog;create=true",
        "spark.hadoop.datanucleus.schema.autoCreateAll": "true",
        "spark.hadoop.hive.metastore.schema.verification": "false",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(2 * settings.threads),
        "spark.databricks.delta.snapshotPartitions": "2",
        # By default pages are of 64 MB: a join with ten rows takes one, and keeps it until Java collects all garbage.
        "spark.buffer.pageSize": "2m",
        # VACUUM lists a table in so many tasks; by default in 10,000.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
        **LOGS,
        **store_properties(settings),
        "spark.sql.parquet.compression.codec": "snappy",
        # Spark's default is the 12-byte INT96, which has no statistics: a fifth more work to write receipts.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        **{f"spark.hadoop.parquet.enable.dictionary#{name}": "false" for name in SELDOM_REPEATED},
        # Small files read in several tasks: the promotions come as one row group.
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.connect.grpc.maxInboundMessageSize": str(256 * 1024 * 1024),
        "spark.sql.session.localRelationCacheThreshold": str(64 * 1024 * 1024),
    }


def store_properties(settings: Settings) -> dict[str, str]:
    """How tables in a store are reached; who asks is in the environment, as for every tool of a store."""
    if not settings.is_in_store:
        return {}
    # By default Hadoop remembers what an object was, and refuses one that was written again: a staged file, a pointer
    # to a checkpoint.
    classic = {"spark.hadoop.fs.s3a.input.stream.type": "classic"}
    if settings.store_endpoint is None:
        return classic
    elsewhere = {"endpoint": settings.store_endpoint, "path.style.access": "true"}
    return classic | {f"spark.hadoop.fs.s3a.{name}": value for name, value in elsewhere.items()}


def java_command(settings: Settings, properties: Mapping[str, str]) -> list[str]:
    """The whole command line of the server's JVM."""
    jars = [str(path) for path in server_jars(settings)]
    opens = [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED_PACKAGES]
    return [
        str(java_executable(settings)),
        f"-Xmx{settings.spark_memory}",
        # Throughput counts, pauses do not; a tenth less processor time than the default collector (docs/adr/0002).
        "-XX:+UseParallelGC",
        # Spark loads 45,000 classes. From its small default Java collects all garbage each time it makes room for more.
        "-XX:MetaspaceSize=384m",
        # Each time a sixth of the default is filled with compiled code, Java collects all garbage, and compiles again.
        "-XX:ReservedCodeCacheSize=512m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+IgnoreUnrecognizedVMOptions",
        "--enable-native-access=ALL-UNNAMED",
        "-Duser.timezone=UTC",
        f"-Dderby.stream.error.file={settings.logs}/derby.log",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Dlog4j2.configurationFile={PROJECT_ROOT / 'deploy' / 'log4j2.properties'}",
        *opens,
        *(f"-D{name}={value}" for name, value in properties.items()),
        "-cp",
        os.pathsep.join([f"{spark_jars()}/*", *jars]),
        "org.apache.spark.sql.connect.service.SparkConnectServer",
    ]

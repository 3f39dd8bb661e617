"""What a Spark server that Liftlake did not start has to be: there, set up for Delta, and the server of this lake.

Belongs here: the look at it when a session opens. Does not belong here: sessions (spark), the local server
(spark_server).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql.connect.session import SparkSession

from resources.settings import Settings
from resources.spark_server import SparkServerError
from resources.table_files import place_of

NOT_THERE = "SCHEMA_NOT_FOUND"
REQUIRED = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
}


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """A server that Liftlake did not start is opened inside the block.

    Raises:
        SparkServerError: it does not answer.
    """
    try:
        with warnings.catch_warnings():
            # The error says the same.
            warnings.filterwarnings("ignore", message=r".*RETRIES_EXCEEDED")
            yield
    except PySparkException as error:
        if settings.spark_remote is None:
            raise
        raise SparkServerError(
            f"The Spark server {shown(settings)} of SPARK_REMOTE cannot be used ({_reason(error)}): start it, mend "
            "address or token, or unset SPARK_REMOTE to use a local one."
        ) from error


def require_lake_server(spark: SparkSession, settings: Settings) -> None:
    """Look at the server of a session before anything is read or written.

    Raises:
        SparkServerError: it lacks a setting, or its catalog has the tables of another lake.
    """
    found = {name: spark.conf.get(name, "") for name in REQUIRED}
    lacking = [f"{name}={value}" for name, value in REQUIRED.items() if value not in str(found[name]).split(",")]
    if lacking:
        raise SparkServerError(
            f"The Spark server {shown(settings)} is not set up for a lake: start it with {', '.join(lacking)} "
            "(docs/cluster.md)."
        )
    folder = _lake_folder(spark)
    if folder not in {None, settings.warehouse}:
        raise SparkServerError(
            f"The catalog of {shown(settings)} has a lake in {folder}, and this one lies in {settings.warehouse}: set "
            "LIFTLAKE_WAREHOUSE to the lake's folder, or use a server with a catalog of its own."
        )


def shown(settings: Settings) -> str:
    """The address of the server without the token that may stand in it."""
    return (settings.spark_remote or "").partition("/;")[0]


def _lake_folder(spark: SparkSession) -> str | None:
    """The folder, as the server names it, of the lake that its catalog has; None where it has none."""
    try:
        rows = spark.sql("DESCRIBE SCHEMA bronze").collect()
    except AnalysisException as error:
        if error.getCondition() != NOT_THERE:
            raise
        return None
    location = {row["info_name"]: row["info_value"] for row in rows}["Location"]
    return place_of(location).removesuffix("/bronze.db")


def _reason(error: PySparkException) -> str:
    """The part of an error that says what is wrong, without the address that was asked."""
    details = re.search(r'details = "(.*)"', str(error))
    return details[1] if details else str(error).splitlines()[0]

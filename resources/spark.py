"""Spark sessions: the one door to the local server or to the cluster at SPARK_REMOTE.

Does not belong here: tables (see lake), the server's process (see spark_server).
"""

from __future__ import annotations

import logging

from pyspark.errors import PySparkException
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from resources.remote import answering, require_lake_server
from resources.settings import Settings
from resources.spark_server import LOGS, ensure, running

# What every session of ours says of how its queries run.
SESSION = {
    **LOGS,
    # Spark searches what else follows from the conditions of a plan. The search grows exponentially with named
    # conditions, of which the plans that judge rows have dozens: over a join it took minutes to find nothing.
    "spark.sql.constraintPropagation.enabled": "false",
}

# They print every failed call as JSON before the error is raised that says the same.
for noisy in ("pyspark.sql.connect.logging", "SQLQueryContextLogger"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)


class SparkDoor:
    """Hands out one session per process and makes a new one after the server came back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url: str | None = None
        self._session: SparkSession | None = None

    @property
    def url(self) -> str:
        """The address that dbt and other clients may use; a local server is started when none runs."""
        return self._settings.spark_remote or ensure(self._settings).url

    def session(self) -> SparkSession:
        """A session that works now.

        Raises:
            SparkServerError: the server at SPARK_REMOTE is not there, or not the one of this lake.
            SparkServerError, ToolchainError: the local server cannot be started.
        """
        url = self.url
        if self._session is None or self._session.is_stopped or url != self._url:
            with answering(self._settings):
                self._session = self._opened(url)
            self._url = url
        return self._session

    def _opened(self, url: str) -> SparkSession:
        session = SparkSession.builder.remote(url).create()
        # By default a client goes on for minutes after its server died; a step should fail within seconds
        # and let its retry bring the server back.
        quick = DefaultPolicy(max_retries=3, initial_backoff=200, max_backoff=1000, backoff_multiplier=2)
        session.client.set_retry_policies([quick])
        try:
            if self._settings.spark_remote is not None:
                require_lake_server(session, self._settings)
            for name, value in SESSION.items():
                session.conf.set(name, value)
        except PySparkException:
            # Or it asks the server to forget the session when the process ends, and waits for an answer.
            session.client.close()
            raise
        return session

    def is_open(self) -> bool:
        """Whether the server behind the last session still lives; a remote one is not ours to judge."""
        return self._settings.spark_remote is not None or running(self._settings) is not None

    def close(self) -> None:
        """Drop the session, so that the server may see that nobody is connected."""
        if self._session is not None and not self._session.is_stopped:
            self._session.stop()
        self._session = None

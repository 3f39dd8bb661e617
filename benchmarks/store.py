"""An S3-compatible store for tests and benchmarks: started empty, gone with all that it holds when its block ends.

Belongs here: its process, and what Spark has to be told and given to keep tables in it. Does not belong here: the
cluster (cluster_processes). It is moto's server, in an environment that `uv` makes for it and that is thrown away.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from resources.settings import PROJECT_ROOT
from resources.spark_server import free_port, is_port_open

LOCK = PROJECT_ROOT / "deploy" / "s3.lock"
UV = PROJECT_ROOT / ".uv" / "bin" / "uv"
SERVER = "moto[server]==5.2.5"
BUCKET = "s3a://lake"
PATIENCE_SECONDS = 120


class StoreError(RuntimeError):
    """The store did not come up; the message names its log."""


def can_start() -> bool:
    """Whether the tool is there that brings the store's packages."""
    return UV.exists()


@contextmanager
def store(address: str, log: Path) -> Iterator[str]:
    """A store with one empty bucket, listening on an address of this machine; yields its endpoint.

    Raises:
        StoreError: it does not come up.
    """
    port = free_port(address)
    words = ["run", "--quiet", "--no-project", "--python", sys.executable, "--with", SERVER, "moto_server"]
    with log.open("wb") as stream:
        process = subprocess.Popen([str(UV), *words, "-H", address, "-p", str(port)], stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_port_open(port, address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StoreError(f"The S3-compatible store did not start: see {log}.")
            time.sleep(0.1)
        with closing(HTTPConnection(address, port, timeout=PATIENCE_SECONDS)) as bucket:
            bucket.request("PUT", "/lake")
            bucket.getresponse().read()
        yield f"http://{address}:{port}"
    finally:
        process.terminate()
        process.wait()


def properties(endpoint: str) -> dict[str, str]:
    """The `spark.*` settings of a server whose file system is the bucket: a path without a scheme lies in it."""
    return {
        "spark.hadoop.fs.defaultFS": BUCKET,
        "spark.sql.warehouse.dir": f"{BUCKET}/warehouse",
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        # The store asks for some, and takes any.
        "spark.hadoop.fs.s3a.access.key": "any",
        "spark.hadoop.fs.s3a.secret.key": "any",
    }

"""A real S3-compatible store (S3Proxy over a folder), for tests and benchmarks: started, asked what it holds, stopped.

Does not belong here: what lies in it, and how it is read (resources.table_files, and Spark).
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from resources.jars import java_executable, verified_jars
from resources.settings import PROJECT_ROOT, Settings
from resources.spark_server import LOOPBACK, free_port, is_port_open

LOCK = PROJECT_ROOT / "deploy" / "store.lock"
BUCKET, IDENTITY = "liftlake", "liftlake"
PATIENCE_SECONDS, POLL_SECONDS = 60, 0.1
MEMORY = "256m"
PROPERTIES = """\
s3proxy.endpoint={endpoint}
s3proxy.authorization=aws-v4
s3proxy.identity={identity}
s3proxy.credential={secret}
jclouds.provider=filesystem-nio2
jclouds.identity=none
jclouds.credential=none
jclouds.filesystem.basedir={folder}
"""
# Without one it says everything it does.
LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d %p %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"""


class StoreError(RuntimeError):
    """The store did not start; the message names its log."""


@dataclass
class Store:
    """One store with one bucket, its objects in `folder`; a context that stops it at its end."""

    settings: Settings
    folder: Path
    address: str = LOOPBACK
    _secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:{self._port}"

    @property
    def credentials(self) -> dict[str, str]:
        """The variables by which the tools of any store know who they are."""
        return {
            "AWS_ACCESS_KEY_ID": IDENTITY, "AWS_SECRET_ACCESS_KEY": self._secret, "AWS_REGION": "us-east-1",
            # A profile of this machine is of another store.
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip

    def variables(self, folder: str) -> dict[str, str]:
        """What a lake is started with whose tables are to lie in this folder of the bucket."""
        place = {"AWS_ENDPOINT_URL": self.endpoint, "LIFTLAKE_WAREHOUSE": f"s3://{BUCKET}/{folder}"}
        return {**self.credentials, **place}

    def __enter__(self) -> Self:
        self._port = free_port(self.address)
        (self.folder / "objects" / BUCKET).mkdir(parents=True)
        properties, logging = self.folder / "store.properties", self.folder / "logback.xml"
        objects = self.folder / "objects"
        text = PROPERTIES.format(endpoint=self.endpoint, identity=IDENTITY, secret=self._secret, folder=objects)
        properties.write_text(text, encoding="utf-8")
        logging.write_text(LOGGING, encoding="utf-8")
        jars = os.pathsep.join(str(path) for path in verified_jars(self.settings, LOCK))
        command = [str(java_executable(self.settings)), f"-Xmx{MEMORY}", "-XX:+UseSerialGC"]
        command += [f"-Dlogback.configurationFile={logging}", "-cp", jars, "org.gaul.s3proxy.Main"]
        with (self.folder / "store.log").open("wb") as log:
            self._process = subprocess.Popen([*command, "--properties", str(properties)], stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_port_open(self._port, self.address):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StoreError(f"The store does not answer: see {self.folder / 'store.log'}.")
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def objects(self) -> set[str]:
        """The keys of all that the bucket holds."""
        bucket = self.folder / "objects" / BUCKET
        return {path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file()}

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

"""A real Kafka broker of one node, for tests and benchmarks: started, killed, started again on the same data.

Does not belong here: what is sent (telemetry), how it is read (resources.topics).
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from resources.jars import java_executable, verified_jars
from resources.settings import PROJECT_ROOT, Settings
from resources.spark_server import free_port

LOCK = PROJECT_ROOT / "deploy" / "broker.lock"
CLUSTER_ID = "bGlmdGxha2UtYnJva2VyLQ"
PATIENCE_SECONDS = 60
MEMORY = "512m"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class BrokerError(RuntimeError):
    """The broker did not start; the message names its log."""


@dataclass
class Broker:
    """One broker with its data in `folder`; a context that stops it at its end."""

    settings: Settings
    folder: Path
    port: int = field(default_factory=free_port)
    _controller_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def brokers(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    @cached_property
    def admin(self) -> AdminClient:
        """The one administrator: results are lost with the client that was asked."""
        return AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the broker on the data that it had, and wait until it answers.

        Raises:
            BrokerError: it does not come up.
        """
        properties = self.folder / "server.properties"
        if not properties.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            text = PROPERTIES.format(port=self.port, controller_port=self._controller_port, folder=self.folder)
            properties.write_text(text, encoding="utf-8")
            self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)).wait()
        self._process = self._java("kafka.Kafka", str(properties))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"The broker does not answer: see {self.folder / 'broker.log'}.")
        self.pid_file.write_text(str(self._process.pid), encoding="utf-8")

    @property
    def pid_file(self) -> Path:
        """Where the process id of the broker is once it answers, for who kills it from another process."""
        return self.folder / "broker.pid"

    def start_if_gone(self) -> None:
        """Start the broker again if another process has killed it."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """End the broker as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create(self, topic: str, partitions: int = 1, **config: str) -> None:
        """Create a topic."""
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result()

    def drop(self, topic: str) -> None:
        """Delete a topic, and wait until its name is free."""
        self.admin.delete_topics([topic])[topic].result()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while topic in self.admin.list_topics(timeout=PATIENCE_SECONDS).topics:
            assert time.monotonic() < deadline, f"{topic} is not gone"

    def widen(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self.admin.create_partitions([NewPartitions(topic, partitions)])[topic].result()

    def trim(self, topic: str) -> None:
        """Let everything that a topic holds expire."""
        partitions = [
            TopicPartition(topic, number, -1) for number in self.admin.list_topics(topic).topics[topic].partitions
        ]
        for result in self.admin.delete_records(partitions).values():
            result.result()

    def _answers(self) -> bool:
        try:
            return bool(self.admin.list_topics(timeout=1).brokers)
        except KafkaException as error:
            if error.args[0].code() not in {KafkaError._TRANSPORT, KafkaError._TIMED_OUT}:
                raise
            return False

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        jars = os.pathsep.join(str(path) for path in verified_jars(self.settings, LOCK))
        command = [str(java_executable(self.settings)), f"-Xmx{MEMORY}", "-XX:+UseParallelGC", "-cp", jars]
        with (self.folder / "broker.log").open("ab") as log:
            return subprocess.Popen([*command, main, *arguments], stdout=log, stderr=log, cwd=self.folder)

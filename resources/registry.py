"""The model registry: MLflow tracking and model versions, as an index of what the lake decided.

Belongs here: everything that imports mlflow, inside the functions that call it: most commands never do, and it takes a
second. Does not belong here: the decision (the champion history is the truth; the
alias here is its projection) and the model's bytes (bundles under LIFTLAKE_HOME/artifacts).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from resources.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
VERSION_TAG = "liftlake.model_version"
MODEL_NAME = "demand"
# What MLflow says of a model without versions and of one without the alias.
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class RegistryError(LookupError):
    """The registry's database is locked, unreachable or spoilt. The champion history is whole without it."""


@contextmanager
def _reachable() -> Iterator[None]:
    """Turns what the database and MLflow raise into a sentence without the database's address."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise RegistryError(
            f"The registry does not answer ({type(error).__name__}). The champion history is the truth: once the "
            "registry is back, `liftlake doctor --mend` brings its alias."
        ) from error


class Registry:
    """The registry of one lake. Opening it creates the database when there is none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        # Its migrations report every step; a new database is no news.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        (self._settings.home / "registry").mkdir(parents=True, exist_ok=True)
        return MlflowClient(self._settings.registry_uri, self._settings.registry_uri)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(MODEL_NAME)
        if found is not None:
            return str(found.experiment_id)
        location = (self._settings.home / "registry" / "artifacts").as_uri()
        return str(self._client.create_experiment(MODEL_NAME, artifact_location=location))

    @_reachable()
    def find(self, model_version: str) -> ModelVersion | None:
        """The registered version that holds the model with this normalised digest."""
        versions = self._client.search_model_versions(f"name = '{MODEL_NAME}'")
        return next((item for item in versions if item.tags.get(VERSION_TAG) == model_version), None)

    @_reachable()
    def record(
        self, model_version: str, bundle: Path, parameters: Mapping[str, object], metrics: Mapping[str, float]
    ) -> str:
        """Track a trained model and register it, once per digest; returns the registry's version number.

        Args:
            model_version: normalised SHA-256 of the model.
            bundle: folder of the model's files, copied into the registry's artifacts.
            parameters, metrics: what to show of the training; metric names like `wape_h1`.
        """
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        known = self.find(model_version)
        if known is not None:
            return str(known.version)
        run = self._run_of(model_version)
        run_id = run.info.run_id
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, run.info.start_time, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)) for name, value in parameters.items()],
        )
        self._client.log_artifacts(run_id, str(bundle), artifact_path="bundle")
        self._client.set_terminated(run_id)
        try:
            self._client.create_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{run.info.artifact_uri}/bundle"
        created = self._client.create_model_version(MODEL_NAME, source, run_id, tags={VERSION_TAG: model_version})
        return str(created.version)

    def _run_of(self, model_version: str) -> Run:
        """The tracked run of a model: one that was cut short before it was registered, else a new one."""
        experiment = self._experiment()
        found = self._client.search_runs([experiment], f"tags.`{VERSION_TAG}` = '{model_version}'", max_results=1)
        if found:
            return found[0]
        return self._client.create_run(experiment, run_name=model_version[:12], tags={VERSION_TAG: model_version})

    @_reachable()
    def project_champion(self, model_version: str) -> None:
        """Point the alias at the champion that the history names.

        Raises:
            LookupError: no version of that digest is registered. RegistryError.
        """
        found = self.find(model_version)
        if found is None:
            raise LookupError(f"Model {model_version[:12]} is not in the registry: run its training asset again.")
        self._client.set_registered_model_alias(MODEL_NAME, CHAMPION, found.version)

    @_reachable()
    def champion(self) -> str | None:
        """The digest of the model that the alias points at; None while there is none."""
        from mlflow.exceptions import MlflowException

        try:
            version = self._client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        except MlflowException as error:
            if error.error_code not in _NOT_THERE:
                raise
            return None
        return str(version.tags[VERSION_TAG])

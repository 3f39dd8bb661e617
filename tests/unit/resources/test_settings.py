"""Settings: precedence, defaults and the sentence for what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from resources.settings import SettingsError, load_settings, server_environment, write_lake


def test_the_demo_lake_is_the_default(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    assert settings.lake.source == "completejourney"
    assert settings.as_of == datetime(2017, 12, 4, 5, tzinfo=UTC)
    assert settings.jar_cache == tmp_path / "jars"


def test_the_tables_lie_in_the_home_unless_a_folder_is_named(tmp_path: Path):
    variables = {"LIFTLAKE_HOME": str(tmp_path)}
    assert load_settings(variables).warehouse == str(tmp_path / "warehouse")
    named = load_settings({**variables, "LIFTLAKE_WAREHOUSE": "~/tables"})
    assert named.warehouse == str(Path.home() / "tables")
    # The local server's own process has to find the same folder.
    assert load_settings(server_environment(named)).warehouse == named.warehouse


@pytest.mark.parametrize("named", ["s3a://brand/lake/tables", "s3://brand/lake/tables/"])
def test_the_tables_lie_in_a_store_where_one_is_named(tmp_path: Path, named: str):
    variables = {"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_WAREHOUSE": named, "AWS_ENDPOINT_URL": "http://store:9000"}
    settings = load_settings(variables)
    assert (settings.warehouse, settings.is_in_store) == ("s3a://brand/lake/tables", True)
    told = load_settings(server_environment(settings))
    assert (told.warehouse, told.store_endpoint) == (settings.warehouse, "http://store:9000")


@pytest.mark.parametrize("named", ["s3://", "s3://brand", "gs://brand/lake", "abfss://lake@brand/tables"])
def test_a_place_that_is_neither_folder_nor_store_is_refused(tmp_path: Path, named: str):
    with pytest.raises(SettingsError, match=r"LIFTLAKE_WAREHOUSE.*neither a folder nor s3a://bucket/folder"):
        load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_WAREHOUSE": named})


def test_a_variable_beats_the_file_and_the_file_beats_the_default(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    later = settings.lake.model_copy(update={"as_of": datetime(2017, 12, 11, 5, tzinfo=UTC)})
    write_lake(settings, later)
    assert load_settings({"LIFTLAKE_HOME": str(tmp_path)}).as_of.day == 11
    moved = load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_AS_OF": "2017-12-18T05:00:00Z"})
    assert moved.as_of.day == 18


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LIFTLAKE_SPARK_PORT": "many"}, "LIFTLAKE_SPARK_PORT"),
        ({"LIFTLAKE_THREADS": "0"}, "LIFTLAKE_THREADS"),
        ({"LIFTLAKE_AS_OF": "2017-12-18"}, "as_of"),
        ({"PANDERA_VALIDATION_ENABLED": "False"}, "PANDERA_VALIDATION_ENABLED"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, variables: dict[str, str], named: str):
    with pytest.raises(SettingsError, match=named):
        load_settings({"LIFTLAKE_HOME": str(tmp_path), **variables})


def test_an_unreadable_lake_file_is_named(tmp_path: Path):
    (tmp_path / "lake.yaml").write_text("source: [", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"lake\.yaml"):
        load_settings({"LIFTLAKE_HOME": str(tmp_path)})


def test_only_the_demo_may_use_the_public_key(tmp_path: Path):
    demo = load_settings({"LIFTLAKE_HOME": str(tmp_path)})
    assert demo.household_key()
    other = demo.model_copy(update={"lake": demo.lake.model_copy(update={"source": "mine"})})
    with pytest.raises(SettingsError, match="LIFTLAKE_TOKEN_KEY"):
        other.household_key()


def test_a_secret_never_shows_itself(tmp_path: Path):
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path), "LIFTLAKE_TOKEN_KEY": "hush-hush"})
    assert "hush-hush" not in repr(settings)
    assert settings.household_key() == b"hush-hush"

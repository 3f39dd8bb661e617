"""A server that is not there, or is named wrongly, is said in one sentence that holds no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.settings import load_settings
from resources.spark import SparkDoor
from resources.spark_server import SparkServerError, free_port


@pytest.mark.parametrize("address", ["sc://localhost:{port}", "http://localhost:{port}"])
def test_a_server_that_is_not_there_is_named_without_its_token(tmp_path: Path, address: str) -> None:
    address = address.format(port=free_port())
    remote = f"{address}/;token=secret"
    settings = load_settings({"LIFTLAKE_HOME": str(tmp_path), "SPARK_REMOTE": remote})
    with pytest.raises(SparkServerError) as failure:
        SparkDoor(settings).session()
    assert f"{address} of SPARK_REMOTE cannot be used" in str(failure.value)
    assert "secret" not in str(failure.value)

"""The last chapter of the sample's lake: the key of its household tokens is changed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.conftest import SampleLake

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.certify]
TOKEN_TABLES = ("dim_household", "fct_receipt_lines", "fct_offer_exposures", "fct_redemptions")
NEW_KEY = "a-canary-of-a-key-that-must-be-nowhere"


def key_versions(sample: SampleLake) -> dict[str, set[str]]:
    """The versions of the keys whose tokens readers see, by table."""
    query = "SELECT DISTINCT split(household_token, '_')[0] AS version FROM silver."
    return {table: set(sample.sql(query + table)["version"]) for table in TOKEN_TABLES}


def test_a_rotation_changes_all_tokens_or_none(
    sample: SampleLake, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """Killed while the new tokens are being made, refused to others, completed by the same command."""
    purchases = sample.sql("SELECT COUNT(*) AS n, SUM(sales_amount_usd) AS s FROM silver.fct_receipt_lines")
    monkeypatch.setenv("LIFTLAKE_NEW_TOKEN_KEY", NEW_KEY)
    log = sample.home / "warehouse" / "bronze.db" / "household_keys" / "_delta_log"
    commits = len(list(log.glob("*.json")))
    running = sample.start("tokens", "rotate")
    deadline = time.monotonic() + 300
    while len(list(log.glob("*.json"))) == commits and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    running.communicate()
    assert (sample.home / "token_rotation.json").exists()
    assert key_versions(sample) == {table: {"hk1"} for table in TOKEN_TABLES}
    refused = sample.liftlake("run", "silver.dim_store", code=2)
    assert "tokens rotate" in refused["error"]
    rotated = sample.liftlake("tokens", "rotate")
    assert (rotated["key_version"], set(rotated["tables"])) == (2, {f"silver.{table}" for table in TOKEN_TABLES})
    assert key_versions(sample) == {table: {"hk2"} for table in TOKEN_TABLES}
    lost = sample.sql(
        "SELECT COUNT(*) AS n FROM silver.fct_receipt_lines "
        "LEFT ANTI JOIN silver.dim_household USING (household_token)",
    )
    assert lost["n"][0] == 0
    after = sample.sql("SELECT COUNT(*) AS n, SUM(sales_amount_usd) AS s FROM silver.fct_receipt_lines")
    assert after.equals(purchases)
    monkeypatch.delenv("LIFTLAKE_NEW_TOKEN_KEY")
    monkeypatch.setenv("LIFTLAKE_TOKEN_KEY", NEW_KEY)
    assert sample.liftlake("plan")["work"] == []
    written = [path for path in sample.home.rglob("*") if path.is_file() and NEW_KEY.encode() in path.read_bytes()]
    assert written == []

"""Text files into bronze and out of quarantine: what is refused, what repeats, what comes back."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from pyspark.sql import DataFrame

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from resources.books import Books, Written
from resources.ingest import Ingest
from resources.inventory import content_digest
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping
from resources.quarantine import Replay, held
from resources.receipts import Receipt
from resources.source_bytes import SourceFileError

pytestmark = pytest.mark.spark

CORNER = """
source: corner
title: A corner shop
notice: Made for tests.
files: {folder: .}
timezone: UTC
first_weekday: monday
currency: USD
snapshot_at: 2017-01-02T00:00:00Z
tables:
  pos_lines:
    pattern: sales*.csv
    format: csv
    event_at: CAST(at AS TIMESTAMP)
    duplicates: {scope: row}
    late_after_days: 3
    reject:
      free_of_charge: CAST(amount AS DECIMAL(18,4)) = 0
    columns:
      transaction_id: receipt
      line_id: product
      line_kind: "'sale'"
      product_id: product
      store_id: "'corner'"
      household_id: card
      quantity_units: CAST(units AS DECIMAL(18,4))
      sales_amount_usd: CAST(amount AS DECIMAL(18,4))
      retail_discount_usd: CAST(0 AS DECIMAL(18,4))
      coupon_discount_usd: CAST(0 AS DECIMAL(18,4))
      coupon_match_discount_usd: CAST(0 AS DECIMAL(18,4))
      is_zero_quantity: CAST(units AS DECIMAL(18,4)) = 0
      is_non_merchandise: 'FALSE'
"""
HEADER = "receipt,product,card,units,amount,at\n"
GOOD = [f"r{number},p{number},c1,{number},2.50,2017-01-0{number} 12:00:00" for number in range(2, 8)]
Contracts = dict[tuple[str, str], Contract]


@pytest.fixture
def contracts(lake: Lake) -> Iterator[Contracts]:
    lake.prepare()
    found = load_contracts()
    lake.ensure_table(found["bronze", "quarantine"])
    yield found
    for table in ("pos_lines", "ingest_ledger", "quarantine"):
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")


@pytest.fixture
def mapping(tmp_path: Path) -> SourceMapping:
    (tmp_path / "corner.yaml").write_text(CORNER, encoding="utf-8")
    return load_mapping("corner", tmp_path)


@pytest.fixture
def plan(contracts: Contracts) -> ValidationPlan:
    return compile_plan(to_pandera(contracts["bronze", "pos_lines"]))


def sales(folder: Path, name: str, lines: list[str], header: str = HEADER) -> Path:
    path = folder / name
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def counts(receipt: Receipt | None) -> tuple[int, int, int, int]:
    assert receipt is not None
    assert receipt.received == receipt.accepted + receipt.quarantined + receipt.duplicates
    return receipt.received, receipt.accepted, receipt.quarantined, receipt.duplicates


def books(lake: Lake) -> tuple[int, ...]:
    """The law over all receipts, beside the rows that are there."""
    return lake.query(
        "SELECT SUM(received) AS r, SUM(accepted) AS a, SUM(quarantined) AS q, SUM(duplicates) AS d, "
        "(SELECT COUNT(*) FROM bronze.pos_lines) AS rows, "
        "(SELECT COUNT(*) FROM bronze.quarantine WHERE replayed_by IS NULL) AS held FROM bronze.ingest_ledger"
    ).row(0)


def test_every_line_is_accepted_or_refused_for_its_reason(lake, contracts, mapping, plan, tmp_path: Path):
    lines = [
        *GOOD[:2], GOOD[0], "r9,p9,c1,one,2.50,2017-01-02 12:00:00", "r9,p9,c1,1", 'r9,"p9,c1,1,2.50,2017-01-02',
        "r9,p9,c1,1,0.00,2017-01-02 12:00:00", "r9,p9,c1,-1,2.50,2017-01-02 12:00:00", "r9,p9,c1,1,2.50,yesterday",
    ]  # fmt: skip
    receipt = Ingest(lake, mapping, contracts).file("pos_lines", sales(tmp_path, "sales.csv", lines), plan)
    assert counts(receipt) == (9, 2, 6, 1)
    rows = lake.query("SELECT line_number, rule_ids, payload FROM bronze.quarantine ORDER BY line_number")
    reasons = {line: set(rules) for line, rules, _ in rows.iter_rows()}
    assert reasons[5] == {"mapping.unread.quantity_units", "mapping.unread.is_zero_quantity",
                          "quantity_units_not_null", "is_zero_quantity_not_null"}  # fmt: skip
    assert reasons[6] == {"record.fields"}
    assert reasons[7] == {"record.quotes"}
    assert reasons[8] == {"mapping.reject.free_of_charge"}
    assert reasons[9] == {"quantity_units_range"}
    assert "mapping.unread.event_at" in reasons[10]
    assert rows["payload"].to_list() == lines[3:]


def test_the_same_content_under_another_name_or_compression_is_a_duplicate(lake, contracts, mapping, plan, tmp_path):
    ingest = Ingest(lake, mapping, contracts)
    first = sales(tmp_path, "sales.csv", GOOD)
    assert counts(ingest.file("pos_lines", first, plan)) == (6, 6, 0, 0)
    before = lake.newest(contracts["bronze", "pos_lines"]).version
    assert ingest.file("pos_lines", first, plan) is None
    for level in (1, 9):
        again = tmp_path / f"sales_{level}.csv.gz"
        again.write_bytes(gzip.compress(first.read_bytes(), level))
        assert counts(ingest.file("pos_lines", again, plan)) == (6, 0, 0, 6)
    assert lake.newest(contracts["bronze", "pos_lines"]).version == before
    assert books(lake) == (18, 6, 0, 12, 6, 0)


def test_a_truncated_file_waits_in_quarantine_whole(lake, contracts, mapping, plan, tmp_path: Path):
    ingest = Ingest(lake, mapping, contracts)
    whole = gzip.compress(sales(tmp_path, "sales.csv", GOOD).read_bytes())
    cut = tmp_path / "sales.csv.gz"
    cut.write_bytes(whole[:-9])
    refused = ingest.file("pos_lines", cut, plan)
    assert counts(refused) == (1, 0, 1, 0)
    assert refused is not None
    assert refused.outcome == "refused"
    assert "cut off" in (refused.reason or "")
    assert (lake.settings.home / "quarantine" / refused.file_sha256).read_bytes() == whole[:-9]
    assert [item.rule_id for item in held(lake)] == ["file.truncated"]
    assert ingest.file("pos_lines", cut, plan) is None
    cut.write_bytes(whole)
    assert counts(ingest.file("pos_lines", cut, plan)) == (6, 6, 0, 0)


def test_late_records_are_accepted_and_counted(lake, contracts, mapping, plan, tmp_path: Path):
    ingest = Ingest(lake, mapping, contracts)
    ingest.file("pos_lines", sales(tmp_path, "sales_1.csv", GOOD[2:]), plan)
    receipt = ingest.file("pos_lines", sales(tmp_path, "sales_2.csv", GOOD[:3]), plan)
    assert counts(receipt) == (3, 2, 0, 1)
    assert receipt is not None
    assert receipt.late == 2


def test_order_repeats_and_compression_do_not_matter(lake, contracts, mapping, plan, tmp_path: Path):
    """Two overlapping files in both orders, one of them once more compressed: one content."""
    files = [sales(tmp_path, f"sales_{n}.csv", GOOD[n : n + 4]) for n in (0, 2)]
    digests = set()
    for order in permutations(files):
        ingest = Ingest(lake, mapping, contracts)
        for path in order:
            ingest.file("pos_lines", path, plan)
        packed = tmp_path / "sales_packed.csv.gz"
        packed.write_bytes(gzip.compress(order[0].read_bytes()))
        ingest.file("pos_lines", packed, plan)
        digests.add(content_digest(lake, contracts["bronze", "pos_lines"]))
        assert books(lake)[4:] == (6, 0)
        for table in ("pos_lines", "ingest_ledger"):
            lake.spark.sql(f"DROP TABLE bronze.{table}")
    assert len(digests) == 1


def test_what_a_fix_mends_moves_once(lake, contracts, mapping, plan, tmp_path: Path):
    lines = [*GOOD[:2], "r9,p9,c1,one,2.50,2017-01-02 12:00:00", GOOD[0].replace(",2,", ",two,", 1), "r9,p9"]
    Ingest(lake, mapping, contracts).file("pos_lines", sales(tmp_path, "sales.csv", lines), plan)
    assert books(lake) == (5, 2, 3, 0, 2, 3)

    def fix(record):
        return {**record, "units": {"one": "1", "two": "2"}[record["units"]]} if "units" in record else None

    replay = Replay(lake, mapping, contracts)
    receipt = replay.table("pos_lines", plan, fix, "sha of the fix")
    assert receipt is not None
    assert (receipt.received, receipt.accepted, receipt.quarantined, receipt.duplicates) == (0, 1, -2, 1)
    assert books(lake) == (5, 3, 1, 1, 3, 1)
    assert replay.table("pos_lines", plan, fix, "sha of the fix") is None
    assert books(lake) == (5, 3, 1, 1, 3, 1)


@pytest.mark.parametrize("last_commit", ["quarantine", "pos_lines", "ingest_ledger"])
def test_a_replay_that_was_killed_is_made_good_by_the_next(
    lake, contracts, mapping, plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_commit: str
):
    """By a fix that says something else: what the killed one wrote without booking it is gone."""
    lines = [*GOOD[:2], "r9,p9,c1,one,2.50,2017-01-02 12:00:00"]
    Ingest(lake, mapping, contracts).file("pos_lines", sales(tmp_path, "sales.csv", lines), plan)
    mark, append = Books.mark, Books._append

    def killed_by(table: str) -> None:
        if table == last_commit:
            raise KeyboardInterrupt

    def dying_append(self: Books, table: str, rows: DataFrame, receipt: Receipt) -> Written:
        written = append(self, table, rows, receipt)
        killed_by(table)
        return written

    def dying_mark(self: Books, places: pl.DataFrame, batch_id: str) -> None:
        mark(self, places, batch_id)
        killed_by("quarantine")

    replay = Replay(lake, mapping, contracts)
    with monkeypatch.context() as kill:
        kill.setattr(Books, "_append", dying_append)
        kill.setattr(Books, "mark", dying_mark)
        with pytest.raises(KeyboardInterrupt):
            replay.table("pos_lines", plan, lambda record: {**record, "units": "1"}, "one")
    replay.table("pos_lines", plan, lambda record: {**record, "units": "4"}, "four")
    assert books(lake) == (3, 3, 0, 0, 3, 0)
    mended = lake.query("SELECT CAST(quantity_units AS INT) AS units FROM bronze.pos_lines WHERE transaction_id = 'r9'")
    assert mended["units"].to_list() == [1 if last_commit == "ingest_ledger" else 4]
    assert replay.table("pos_lines", plan, lambda record: {**record, "units": "4"}, "four") is None


def test_a_mended_mapping_reads_a_refused_file(lake, contracts, mapping, plan, tmp_path: Path):
    path = sales(tmp_path, "sales.csv", GOOD, HEADER.replace("card", "loyalty_card"))
    assert counts(Ingest(lake, mapping, contracts).file("pos_lines", path, plan)) == (1, 0, 1, 0)
    (tmp_path / "corner.yaml").write_text(CORNER.replace("id: card", "id: loyalty_card"), encoding="utf-8")
    mended = load_mapping("corner", tmp_path)
    receipts = Replay(lake, mended, contracts).files("pos_lines", plan)
    assert [counts(receipt) for receipt in receipts] == [(6, 6, 0, 0)]
    assert books(lake) == (7, 6, 0, 1, 6, 0)
    assert held(lake) == []


@pytest.mark.parametrize(
    ("header", "outcome", "words"),
    [
        (HEADER.replace("card", "card,clerk"), "ingested", ""),
        (HEADER.replace("units", "Units"), "refused", "units is spelled Units"),
        (HEADER.replace("amount", "amount_gbp"), "refused", "renamed?"),
    ],
)
def test_other_columns_than_before_are_named(
    lake, contracts, mapping, plan, tmp_path: Path, header: str, outcome: str, words: str
):
    """The contract of receipts sets a file with other columns aside; a column more is accepted."""
    ingest = Ingest(lake, mapping, contracts)
    ingest.file("pos_lines", sales(tmp_path, "sales_1.csv", GOOD[:2]), plan)
    lines = [line.replace("c1", "c1,anna") if "clerk" in header else line for line in GOOD[2:4]]
    receipt = ingest.file("pos_lines", sales(tmp_path, "sales_2.csv", lines, header), plan)
    assert receipt is not None
    assert receipt.outcome == outcome
    assert words in (receipt.reason or "")


def test_a_frozen_source_stops_at_other_columns(lake, contracts, mapping, plan, tmp_path: Path):
    frozen = {
        **contracts,
        ("bronze", "pos_lines"): replace(contracts["bronze", "pos_lines"], schema_evolution="freeze"),
    }
    ingest = Ingest(lake, mapping, frozen)
    ingest.file("pos_lines", sales(tmp_path, "sales_1.csv", GOOD[:2]), plan)
    before = books(lake)
    with pytest.raises(SourceFileError, match=r"Refused .* units is spelled Units"):
        ingest.file("pos_lines", sales(tmp_path, "sales_2.csv", GOOD[2:4], HEADER.replace("units", "Units")), plan)
    assert books(lake) == before

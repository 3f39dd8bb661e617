"""Ingest of files: the law, what is a duplicate, what goes to quarantine, and that a repeat after a crash converges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from pyspark.sql import DataFrame
from pyspark.sql.connect.readwriter import DataFrameWriter

from checks.contracts.loader import load_contracts
from checks.contracts.model import Contract
from checks.contracts.pandera_schema import to_pandera
from checks.contracts.plan import ValidationPlan, compile_plan
from resources.books import Books, Written
from resources.commits import CommittedTwice
from resources.delivery_plan import Miscounted
from resources.ingest import Ingest
from resources.lake import Lake
from resources.mapping import SourceMapping, load_mapping
from resources.receipts import Receipt
from resources.source_bytes import SourceFileError

pytestmark = pytest.mark.spark


@pytest.fixture
def contracts(lake: Lake) -> Iterator[dict[tuple[str, str], Contract]]:
    found = load_contracts()
    yield found
    for table in ("pos_lines", "promotions", "ingest_ledger", "quarantine"):
        lake.spark.sql(f"DROP TABLE IF EXISTS bronze.{table}")


@pytest.fixture
def mapping() -> SourceMapping:
    return load_mapping("completejourney")


def plan_of(contracts: dict[tuple[str, str], Contract], table: str) -> ValidationPlan:
    return compile_plan(to_pandera(contracts["bronze", table]))


def receipts(baskets: list[int], quantity: int = 1, sales: float = 2.5) -> pl.DataFrame:
    return pl.DataFrame({
        "household_id": 1, "store_id": 330, "basket_id": baskets, "product_id": 7, "quantity": quantity,
        "sales_value": sales, "retail_disc": 0.0, "coupon_disc": 0.0, "coupon_match_disc": 0.0, "week": 2,
        "transaction_timestamp": datetime(2017, 1, 3, 12),  # noqa: DTZ001  the source's times are naive
    })  # fmt: skip


def counts(receipt) -> tuple[int, int, int, int]:
    assert receipt.received == receipt.accepted + receipt.quarantined + receipt.duplicates
    return receipt.received, receipt.accepted, receipt.quarantined, receipt.duplicates


def test_good_broken_and_repeated_records_are_told_apart(lake, contracts, mapping, tmp_path: Path):
    rows = pl.concat([receipts([1, 2, 2]), receipts([3], quantity=-1), receipts([4], sales=-0.01)])
    rows.write_parquet(tmp_path / "transactions.parquet")
    ingest, plan = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines")
    receipt = ingest.file("pos_lines", tmp_path / "transactions.parquet", plan)
    assert counts(receipt) == (5, 2, 2, 1)
    assert (receipt.first_week_start_date, receipt.last_week_start_date) == (date(2017, 1, 2), date(2017, 1, 2))
    held = lake.query("SELECT transaction_id, sales_amount_usd FROM bronze.pos_lines ORDER BY transaction_id")
    assert held["transaction_id"].to_list() == ["1", "2"]
    broken = lake.query("SELECT payload, rule_ids FROM bronze.quarantine ORDER BY payload")
    assert broken.height == 2
    assert '"quantity":-1' in broken["payload"][0]
    assert {rule for rules in broken["rule_ids"] for rule in rules} == {
        "quantity_units_range", "sales_amount_usd_range",
    }  # fmt: skip


def test_the_same_content_adds_nothing(lake, contracts, mapping, tmp_path: Path):
    receipts([1, 2]).write_parquet(tmp_path / "transactions.parquet")
    ingest, plan = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines")
    assert ingest.file("pos_lines", tmp_path / "transactions.parquet", plan) is not None
    copy = tmp_path / "transactions_again.parquet"
    copy.write_bytes((tmp_path / "transactions.parquet").read_bytes())
    assert counts(ingest.file("pos_lines", copy, plan)) == (2, 0, 0, 2)
    assert ingest.file("pos_lines", copy, plan) is None
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.pos_lines")["n"][0] == 2


def test_an_event_that_an_earlier_file_brought_is_a_duplicate(lake, contracts, mapping, tmp_path: Path):
    ingest, plan = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines")
    receipts([1, 2]).write_parquet(tmp_path / "transactions_1.parquet")
    receipts([2, 3]).write_parquet(tmp_path / "transactions_2.parquet")
    ingest.file("pos_lines", tmp_path / "transactions_1.parquet", plan)
    assert counts(ingest.file("pos_lines", tmp_path / "transactions_2.parquet", plan)) == (2, 1, 0, 1)


def test_a_broken_record_hides_no_good_one_of_the_same_key(lake, contracts, mapping, tmp_path: Path):
    """Whichever of the two a total order would put first."""
    pairs = [(receipts([basket], quantity=-1, sales=float(basket)), receipts([basket])) for basket in range(1, 9)]
    pl.concat([frame for pair in pairs for frame in pair]).write_parquet(tmp_path / "transactions.parquet")
    receipt = Ingest(lake, mapping, contracts).file(
        "pos_lines", tmp_path / "transactions.parquet", plan_of(contracts, "pos_lines")
    )
    assert counts(receipt) == (16, 8, 8, 0)


def test_a_record_of_two_kinds_counts_once_and_gives_two_rows(lake, contracts, mapping, tmp_path: Path):
    pl.DataFrame({
        "product_id": [1, 1, 2, 2], "store_id": 330, "display_location": ["9", "0", "3", "3"],
        "mailer_location": ["A", "D", "0", "0"], "week": 2,
    }).write_parquet(tmp_path / "promotions.parquet")  # fmt: skip
    receipt = Ingest(lake, mapping, contracts).file(
        "promotions", tmp_path / "promotions.parquet", plan_of(contracts, "promotions")
    )
    assert counts(receipt) == (4, 3, 0, 1)
    assert receipt.rows_written == 4
    held = lake.query("SELECT kind, location FROM bronze.promotions ORDER BY kind, location")
    assert held.rows() == [("display", "3"), ("display", "9"), ("mailer", "A"), ("mailer", "D")]


def test_a_delivery_of_which_nothing_can_be_good_is_in_the_books(lake, contracts, mapping, tmp_path: Path):
    """Spark knows so from the mapping, and looks at no record to write none."""
    receipts([1, 2]).write_parquet(tmp_path / "transactions.parquet")
    lines = mapping.tables["pos_lines"]
    columns = {**lines.columns, "quantity_units": "CAST(NULL AS DECIMAL(18,4))"}
    tables = {**mapping.tables, "pos_lines": lines.model_copy(update={"columns": columns})}
    ingest = Ingest(lake, mapping.model_copy(update={"tables": tables}), contracts)
    receipt = ingest.file("pos_lines", tmp_path / "transactions.parquet", plan_of(contracts, "pos_lines"))
    assert counts(receipt) == (2, 0, 2, 0)
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.pos_lines")["n"][0] == 0
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.quarantine")["n"][0] == 2


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractContextManager[None]]:
    """Inside the block the process dies as soon as the named table is committed."""
    append = Books._append

    @contextmanager
    def killed(table: str) -> Iterator[None]:
        def dying(self: Books, name: str, rows: DataFrame, receipt: Receipt) -> Written:
            written = append(self, name, rows, receipt)
            if name == table:
                raise KeyboardInterrupt
            return written

        with monkeypatch.context() as patched:
            patched.setattr(Books, "_append", dying)
            with pytest.raises(KeyboardInterrupt):
                yield

    return killed


@pytest.mark.parametrize("table", ["quarantine", "pos_lines", "ingest_ledger"])
def test_a_killed_ingest_is_made_good_by_the_next(lake, contracts, mapping, tmp_path: Path, kill_after, table: str):
    """Another file that comes between counts nothing as a duplicate of rows that nobody booked."""
    first, second = tmp_path / "transactions_1.parquet", tmp_path / "transactions_2.parquet"
    pl.concat([receipts([1, 2]), receipts([3], quantity=-1)]).write_parquet(first)
    receipts([2, 4]).write_parquet(second)
    ingest, plan = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines")
    with kill_after(table):
        ingest.file("pos_lines", first, plan)
    is_booked = table == "ingest_ledger"
    assert counts(ingest.file("pos_lines", second, plan)) == ((2, 1, 0, 1) if is_booked else (2, 2, 0, 0))
    again = ingest.file("pos_lines", first, plan)
    assert again is None if is_booked else counts(again) == (3, 1, 1, 1)
    held = lake.query("SELECT transaction_id FROM bronze.pos_lines ORDER BY transaction_id")
    assert held["transaction_id"].to_list() == ["1", "2", "4"]
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.quarantine")["n"][0] == 1


@pytest.mark.parametrize("table", ["quarantine", "pos_lines", "ingest_ledger"])
def test_an_append_that_was_asked_for_twice_is_taken_back(
    lake, contracts, mapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
):
    """A client whose answer was lost asks again, and the server does it again."""
    path = tmp_path / "transactions.parquet"
    pl.concat([receipts([1, 2]), receipts([3], quantity=-1)]).write_parquet(path)
    ingest, plan, save = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines"), DataFrameWriter.save

    def twice(self: DataFrameWriter, folder: str) -> None:
        save(self, folder)
        if folder.endswith(f"bronze.db/{table}"):
            save(self, folder)

    with monkeypatch.context() as patched:
        patched.setattr(DataFrameWriter, "save", twice)
        with pytest.raises(CommittedTwice, match=f"{table} got 2 commits"):
            ingest.file("pos_lines", path, plan)
    lake.spark.sql(f"OPTIMIZE bronze.{table}")
    assert counts(ingest.file("pos_lines", path, plan)) == (3, 2, 1, 0)
    for name, rows in (("pos_lines", 2), ("quarantine", 1), ("ingest_ledger", 1)):
        assert lake.query(f"SELECT COUNT(*) AS n FROM bronze.{name}")["n"][0] == rows


def test_a_batch_that_has_other_rows_than_were_counted_is_not_booked_and_taken_back(
    lake, contracts, mapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "transactions.parquet"
    receipts([1, 2]).write_parquet(path)
    ingest, plan, accepted = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines"), Ingest._accepted

    def losing(self: Ingest, batch: Receipt, records: DataFrame) -> DataFrame:
        return accepted(self, batch, records).filter("transaction_id <> '2'")

    with monkeypatch.context() as patched:
        patched.setattr(Ingest, "_accepted", losing)
        with pytest.raises(Miscounted, match="2 rows; bronze.pos_lines got 1"):
            ingest.file("pos_lines", path, plan)
    assert counts(ingest.file("pos_lines", path, plan)) == (2, 2, 0, 0)
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.pos_lines")["n"][0] == 2


def test_a_batch_whose_counts_did_not_come_is_not_booked_and_taken_back(
    lake, contracts, mapping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "transactions.parquet"
    receipts([1, 2]).write_parquet(path)
    ingest, plan = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines")
    with monkeypatch.context() as patched:
        patched.setattr("pyspark.sql.connect.dataframe.DataFrame.observe", lambda frame, *_: frame)
        with pytest.raises(Miscounted, match="no counts"):
            ingest.file("pos_lines", path, plan)
    assert counts(ingest.file("pos_lines", path, plan)) == (2, 2, 0, 0)
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.pos_lines")["n"][0] == 2


@pytest.mark.parametrize("table", ["quarantine", "pos_lines"])
def test_the_next_attempt_may_come_with_other_rules(lake, contracts, mapping, tmp_path: Path, kill_after, table: str):
    """What the killed attempt wrote by the old mapping is gone: the rows are those of the mapping that is booked."""
    path = tmp_path / "transactions.parquet"
    pl.concat([receipts([1, 2]), receipts([3], quantity=-1)]).write_parquet(path)
    plan = plan_of(contracts, "pos_lines")
    lake.ensure_table(contracts["bronze", "quarantine"])
    with kill_after(table):
        Ingest(lake, mapping, contracts).file("pos_lines", path, plan)
    lines = mapping.tables["pos_lines"]
    columns = {**lines.columns, "quantity_units": "CAST(ABS(quantity) * 7 AS DECIMAL(18,4))"}
    tables = {**mapping.tables, "pos_lines": lines.model_copy(update={"columns": columns})}
    mended = mapping.model_copy(update={"tables": tables, "sha256": "0" * 64})
    assert counts(Ingest(lake, mended, contracts).file("pos_lines", path, plan)) == (3, 3, 0, 0)
    held = lake.query("SELECT transaction_id, CAST(quantity_units AS INT) AS units FROM bronze.pos_lines ORDER BY 1")
    assert held.rows() == [("1", 7), ("2", 7), ("3", 7)]
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.quarantine")["n"][0] == 0


def test_a_file_that_was_being_refused_may_be_read_by_the_next(lake, contracts, mapping, tmp_path: Path, kill_after):
    path = tmp_path / "transactions.parquet"
    receipts([1]).write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    ingest, plan = Ingest(lake, mapping, contracts), plan_of(contracts, "pos_lines")
    with kill_after("quarantine"):
        ingest.file("pos_lines", path, plan)
    path.write_bytes(whole)
    assert counts(ingest.file("pos_lines", path, plan)) == (1, 1, 0, 0)
    assert lake.query("SELECT COUNT(*) AS n FROM bronze.quarantine")["n"][0] == 0


@pytest.mark.parametrize(
    ("damage", "rule"),
    [("truncated", "file.truncated"), ("other format", "file.format"), ("other columns", "file.columns")],
)
def test_a_file_that_cannot_be_read_waits_whole(lake, contracts, mapping, tmp_path: Path, damage: str, rule: str):
    path = tmp_path / "transactions.parquet"
    receipts([1]).rename({"basket_id": "basket"} if damage == "other columns" else {}).write_parquet(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    if damage == "other format":
        path.write_text("basket_id,product_id", encoding="utf-8")
    receipt = Ingest(lake, mapping, contracts).file("pos_lines", path, plan_of(contracts, "pos_lines"))
    assert counts(receipt) == (1, 0, 1, 0)
    assert receipt.outcome == "refused"
    assert "transactions.parquet" in receipt.reason
    assert lake.query("SELECT rule_ids FROM bronze.quarantine")["rule_ids"].to_list() == [[rule]]
    assert not lake.exists("bronze.pos_lines")


def test_a_file_that_is_not_there_is_an_error(lake, contracts, mapping, tmp_path: Path):
    with pytest.raises(SourceFileError, match=r"transactions\.parquet"):
        Ingest(lake, mapping, contracts).file(
            "pos_lines", tmp_path / "transactions.parquet", plan_of(contracts, "pos_lines")
        )

"""`liftlake source init`: what it guesses of files in many hands, and what it never does."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from checks.contracts.loader import load_contract
from cli.source import source
from resources.drafts import pattern_of, source_name
from resources.mapping import load_mapping
from tests.dialects import DIALECTS, sales_file

REFERENCE = Path(os.environ.get("LIFTLAKE_REFERENCE_DATA", ""))


def init(path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(
        source, ["init", str(path), "--folder", str(path.parent / "drafts"), "--json", *arguments]
    )
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout) if code == 0 else {"error": " ".join(result.stderr.split())}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_read_as_it_was_written(tmp_path: Path, name: str):
    dialect = DIALECTS[name]
    found = init(sales_file(tmp_path, dialect))
    guesses = {item["about"]: item["value"] for item in found["guesses"]}
    columns = {item["meaning"]: item for item in found["columns"] if item["meaning"]}
    assert found["table"] == "bronze.pos_lines"
    assert found["is_canonical"]
    assert guesses["delimiter"] == {"\t": "tab"}.get(dialect.delimiter, dialect.delimiter)
    assert guesses["encoding"] == dialect.encoding
    assert columns["sales_amount"]["form"] == dialect.number_form
    assert next(item for item in found["columns"] if item["kind"] == "timestamp")["form"] == dialect.time_form
    assert found["sample"] == {"records": 40, "unread": 0, "is_whole_file": True}
    rules = load_mapping("sales", tmp_path / "drafts").tables["pos_lines"]
    assert rules.duplicates.key == ("transaction_id", "line_id")


def test_a_file_without_header_gets_numbered_columns(tmp_path: Path):
    path = tmp_path / "plain.csv"
    path.write_text("1;A;2,5\n2;B;3,5\n", encoding="utf-8")
    found = init(path)
    assert [item["name"] for item in found["columns"]] == ["column_1", "column_2", "column_3"]
    assert [item["kind"] for item in found["columns"]] == ["integer", "text", "number"]
    assert found["columns"][2]["form"] == "comma"


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        (["01/02/2017", "03/04/2017"], "date", "both fit"),
        (["1,234", "5,678"], "number", "other way"),
        (["007", "042"], "text", ""),
        (["12345678901234567890", "2"], "text", ""),
        (["", ""], "empty", "cannot be told"),
        (["true", "FALSE"], "boolean", ""),
        (["1.5", "x"], "text", ""),
        (["1512345678", "1512345679"], "integer", ""),
    ],
)
def test_what_is_not_sure_is_said(tmp_path: Path, values: list[str], kind: str, said: str):
    path = tmp_path / "one.csv"
    rows = "".join(f'"{value}"|x{index}\n' for index, value in enumerate(values))
    path.write_text(f"a|b\n{rows}", encoding="utf-8")
    column = init(path)["columns"][0]
    assert column["kind"] == kind
    assert said in " ".join(column["notes"])


def test_values_that_are_not_of_the_kind_are_counted(tmp_path: Path):
    path = tmp_path / "dirty.csv"
    path.write_text("n,m\n" + "".join(f"{n},a{n}\n" for n in range(99)) + "n/a,b\n", encoding="utf-8")
    found = init(path)
    assert (found["columns"][0]["kind"], found["columns"][0]["unread"]) == ("integer", 1)
    assert found["keys"] == [{"columns": ["m"], "uniqueness": 1.0}]


def test_a_table_of_its_own_gets_a_contract_that_compiles(tmp_path: Path):
    path = tmp_path / "shelf_audits_2017.parquet"
    frame = pl.DataFrame(
        {"Shelf": [1, 2, 2], "Visit": ["a", "a", "b"], "MemberEmail": ["x", None, "y"], "Tags": [["t"]] * 3}
    )
    frame.write_parquet(path)
    found = init(path)
    contract = load_contract(Path(found["files"][1]))
    assert not found["is_canonical"]
    assert contract.primary_key == ("shelf", "visit")
    assert contract.column("member_email").classification == "pii"
    assert contract.column("member_email").is_nullable
    rules = load_mapping("shelf_audits", tmp_path / "drafts").tables["shelf_audits"]
    assert rules.pattern == "shelf_audits_*.parquet"
    assert rules.columns["tags"] == "to_json(Tags)"
    business = {"source", "batch_id", "event_at", "known_at", "row_hash"}
    assert set(rules.columns) == set(contract.column_names) - business


def test_json_lines_and_gzip_are_the_same_file(tmp_path: Path):
    lines = "".join(
        json.dumps(
            {"Receipt": f"r{n}", "Sku": f"p{n % 3}", "Qty": n, "Amount": n / 2, "At": f"2017-01-02T10:00:{n:02}Z"}
        )
        + "\n"
        for n in range(30)
    )
    plain, packed = tmp_path / "sales.jsonl", tmp_path / "packed" / "sales.jsonl.gz"
    packed.parent.mkdir()
    plain.write_text(lines, encoding="utf-8")
    packed.write_bytes(gzip.compress(lines.encode()))
    first, second = init(plain), init(packed)
    assert first["columns"] == second["columns"]
    assert load_mapping("sales", tmp_path / "drafts").tables["pos_lines"].pattern == "sales.jsonl"
    assert load_mapping("sales", packed.parent / "drafts").tables["pos_lines"].format == "jsonl"


def test_nothing_is_overwritten(tmp_path: Path):
    path = sales_file(tmp_path, DIALECTS["plain"])
    written = Path(init(path)["files"][0])
    written.write_text("mine", encoding="utf-8")
    assert "never overwritten" in init(path, code=2)["error"]
    assert written.read_text(encoding="utf-8") == "mine"
    assert init(path, "--name", "other")["files"] == [str(tmp_path / "drafts" / "other.yaml")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no record besides its header"),
        (b"PK\x03\x04 zip", "ZIP or Excel"),
        (b"PAR1 cut", "Parquet"),
    ],
)
def test_a_file_that_is_no_sample_is_a_sentence(tmp_path: Path, content: bytes, sentence: str):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    assert sentence in init(path, code=2)["error"]
    assert not (tmp_path / "drafts").exists()


def test_no_value_of_the_file_is_printed(tmp_path: Path):
    path = tmp_path / "cards.csv"
    path.write_text("card,phone\nCANARY-7,555-CANARY\nCANARY-8,556-CANARY\n", encoding="utf-8")
    shown = CliRunner().invoke(source, ["init", str(path), "--folder", str(tmp_path / "d")])
    assert shown.exit_code == 0
    written = "".join(item.read_text(encoding="utf-8") for item in (tmp_path / "d").rglob("*.yaml"))
    assert "CANARY" not in shown.stdout + shown.stderr + written


@pytest.mark.parametrize(
    ("file", "name", "pattern"),
    [
        ("sales_2017-01-02.csv", "sales", "sales_*.csv"), ("2010-12-01.csv", "my_shop", "*.csv"),
        ("orangejuice_sales_w40_148.parquet", "orangejuice_sales", "orangejuice_sales_w*.parquet"),
        ("POS-Export.csv.gz", "pos_export", "POS-Export.csv"),
    ],
)  # fmt: skip
def test_names_and_patterns_leave_out_what_will_differ(file: str, name: str, pattern: str):
    assert source_name(Path("/data/my-shop-2010") / file) == name
    assert pattern_of(Path(file)) == pattern


@pytest.mark.skipif(
    not (REFERENCE / "online-retail-2010-12").is_dir(), reason="LIFTLAKE_REFERENCE_DATA has no such data"
)
def test_days_of_a_real_retailer_give_the_same_draft(tmp_path: Path):
    folder = REFERENCE / "online-retail-2010-12"
    drafts = {}
    for path in sorted(folder.glob("*.csv"))[::5]:
        target = tmp_path / path.stem
        result = CliRunner().invoke(source, ["init", str(path), "--folder", str(target)])
        assert result.exit_code == 0, result.stderr
        mapping = load_mapping("online_retail", target)
        drafts[path.stem] = (mapping.tables, mapping.timezone)
    assert len(drafts) == 4
    first = drafts["2010-12-01"]
    differing = [day for day, item in drafts.items() if item != first]
    assert differing == []

"""The comparison of contracts: each change by its kind, whom it breaks, and what the version says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from checks.contracts.changes import Change
from checks.contracts.diff import diff_contracts
from checks.contracts.model import Column, Contract
from checks.contracts.place import ContractError
from tests.unit.checks.contracts.diff_cases import (
    BASE,
    BOTH,
    CASES,
    with_column,
    with_new_column,
    with_rule,
    with_values,
    without_column,
)

Contracts = Mapping[tuple[str, str], Contract]


def compare(new: Contract, old: Contract = BASE, errors: tuple[ContractError, ...] = ()) -> list[Change]:
    return list(diff_contracts({old.key: old}, {new.key: new}, errors))


@pytest.mark.parametrize("case", CASES)
def test_each_change_has_its_kind_and_says_whom_it_breaks(case: str) -> None:
    alter, kind, effect, breaks, words = CASES[case]
    found = compare(alter(BASE))
    wanted = [kind] + (["version_not_raised"] if effect == "breaking" else [])
    assert [change.kind for change in found] == wanted
    assert (found[0].effect, found[0].breaks) == (effect, breaks)
    assert words in found[0].text
    assert found[0].table == "bronze.lines"


@pytest.mark.parametrize("case", CASES)
def test_a_raised_major_version_is_enough(case: str) -> None:
    found = compare(dataclasses.replace(CASES[case][0](BASE), version="2.0.0"))
    assert [change.kind for change in found] == [CASES[case][1], "version_raised"]


def test_no_change_is_no_finding() -> None:
    assert compare(BASE) == []
    assert compare(dataclasses.replace(BASE, sha256="1" * 64)) == []


def test_a_renamed_column_is_removed_and_added_with_a_hint() -> None:
    found = compare(with_column("note", name="remark")(BASE))
    assert [change.kind for change in found] == ["column_removed", "column_added", "version_not_raised"]
    assert "remark is new with its type and position: renamed?" in found[0].text
    moved = without_column("note")(with_new_column(Column("remark", "BIGINT", "R.", is_nullable=True))(BASE))
    assert "renamed?" not in compare(moved)[0].text


def test_a_name_in_another_case_is_one_column() -> None:
    found = compare(with_column("note", name="Note", type="BIGINT")(BASE))
    assert [change.kind for change in found] == ["column_case_changed", "column_changed", "version_not_raised"]
    assert found[0].breaks == BOTH
    assert found[0].columns == ("note",)


def test_tables_that_come_and_go() -> None:
    other = dataclasses.replace(BASE, name="others")
    found = diff_contracts({BASE.key: BASE}, {other.key: other})
    assert [(change.table, change.kind, change.effect) for change in found] == [
        ("bronze.lines", "table_removed", "breaking"),
        ("bronze.others", "table_added", "additive"),
    ]
    assert found[0].columns == BASE.column_names


def test_a_lowered_version_is_a_finding() -> None:
    assert [change.kind for change in compare(with_values(version="1.2.2")(BASE))] == ["version_lowered"]


def test_a_minor_version_does_not_cover_a_breaking_change() -> None:
    found = compare(dataclasses.replace(without_column("units")(BASE), version="1.3.0"))
    assert found[-1].kind == "version_not_raised"
    assert "1.2.3 to 1.3.0" in found[-1].text


def test_a_rule_that_does_not_compile_is_breaking() -> None:
    error = ContractError("bronze/lines.odcs.yaml", "schema[0].quality[1]", "'units' is no column of this table")
    elsewhere = ContractError("bronze/others.odcs.yaml", "", "x")
    found = compare(without_column("units")(BASE), errors=(error, elsewhere))
    assert [change.kind for change in found] == ["column_removed", "contract_broken", "version_not_raised"]
    assert "schema[0].quality[1]: 'units' is no column" in found[1].text


def test_a_rule_that_lost_a_column_but_not_its_name_has_changed() -> None:
    kept = dataclasses.replace(BASE.rules[0], columns=("kind",), arguments={"expression": "kind = 'a'"})
    new = without_column("units")(BASE)
    found = compare(dataclasses.replace(new, rules=(kept, *new.rules)))
    assert [change.kind for change in found] == ["column_removed", "rule_changed", "version_not_raised"]


def test_the_way_there_and_the_way_back_of_a_narrowing(contracts: Contracts) -> None:
    """What narrows in one direction widens in the other, for every range of the real contracts."""
    tested = 0
    for contract in contracts.values():
        for rule in (rule for column in contract.columns for rule in column.rules if rule.kind == "range"):
            wider = {**rule.arguments, "minimum": None}
            if rule.arguments["minimum"] is None or rule.arguments["maximum"] is None:
                continue
            changed = with_rule(rule.id, arguments=wider)(contract)
            assert [change.kind for change in compare(changed, contract)] == ["rule_widened"]
            assert compare(contract, changed)[0].kind == "rule_narrowed"
            tested += 1
    assert tested > 20

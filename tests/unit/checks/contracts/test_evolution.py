"""Differences of a source file's columns: each kind by example, each mode, and that nothing passes in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.contracts.evolution import Difference, SourceColumn, column_differences, judge
from checks.contracts.model import Contract, SchemaEvolution

MODES = get_args(SchemaEvolution)
SEVERITY = {"accept": 0, "quarantine": 1, "refuse": 2}
KNOWN = (
    SourceColumn("basket_id", "BIGINT"),
    SourceColumn("quantity", "INT"),
    SourceColumn("sales_value", "DOUBLE"),
    SourceColumn("note", "STRING"),
)
USED = ("basket_id", "quantity", "sales_value")


def file(*dropped: str, **changes: SourceColumn) -> list[SourceColumn]:
    """The known columns without some and with others in their place."""
    kept = [changes.pop(column.name, column) for column in KNOWN if column.name not in dropped]
    return [*kept, *changes.values()]


CASES: dict[str, tuple[list[SourceColumn], str, str, bool, str]] = {
    "new column": (file(x=SourceColumn("coupon", "STRING")), "added", "coupon", True, "coupon (STRING) is new"),
    "new column without values": (
        file(x=SourceColumn("coupon", "VOID", is_all_null=True)), "added", "coupon", True, "all null",
    ),
    "used column gone": (file("quantity"), "removed", "quantity", False, "which the mapping reads, is gone"),
    "unused column gone": (file("note"), "removed", "note", True, "does not read, is gone"),
    "renamed": (
        file("sales_value", x=SourceColumn("sales_values", "DOUBLE")), "renamed", "sales_values", False,
        "sales_value is gone and sales_values is new",
    ),
    "unused renamed": (file("note", x=SourceColumn("notes", "STRING")), "renamed", "notes", True, "renamed?"),
    "widened": (file(quantity=SourceColumn("quantity", "BIGINT")), "retyped", "quantity", True, "widened from INT"),
    "narrowed": (file(basket_id=SourceColumn("basket_id", "INT")), "retyped", "basket_id", False, "narrowed from"),
    "other type": (file(quantity=SourceColumn("quantity", "STRING")), "retyped", "quantity", False, "changed from INT"),
    "unused of other type": (file(note=SourceColumn("note", "INT")), "retyped", "note", True, "changed from STRING"),
    "case": (
        file(quantity=SourceColumn("Quantity", "INT")), "case_changed", "Quantity", True, "quantity is spelled Quant",
    ),
    "used without a value": (
        file(quantity=SourceColumn("quantity", "INT", is_all_null=True)), "all_null", "quantity", False, "no value at",
    ),
    "unused without a value": (
        file(note=SourceColumn("note", "STRING", is_all_null=True)), "all_null", "note", True, "no value at all",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_difference_is_named(case: str) -> None:
    columns, kind, column, is_harmless, words = CASES[case]
    (found,) = column_differences(columns, KNOWN, USED)
    assert (found.kind, found.column, found.is_harmless) == (kind, column, is_harmless)
    assert words in found.text
    assert {mode: judge(mode, [found]).action for mode in MODES} == {
        "freeze": "accept" if kind == "added" else "refuse",
        "quarantine": "accept" if kind == "added" else "quarantine",
        "evolve": "accept" if is_harmless else "quarantine",
    }


def test_names_that_differ_in_case_only_are_ambiguous() -> None:
    """Spark would answer for either of them, or fail at the first query."""
    found = column_differences(file(x=SourceColumn("QUANTITY", "INT")), KNOWN, USED)
    assert {(item.kind, item.column) for item in found} == {
        ("added", "QUANTITY"), ("ambiguous", "QUANTITY"), ("ambiguous", "quantity"),
    }  # fmt: skip
    assert judge("evolve", found).action == "quarantine"


def test_a_rename_is_guessed_only_for_like_names_of_one_type() -> None:
    for other in (SourceColumn("zzz", "DOUBLE"), SourceColumn("sales_values", "STRING")):
        kinds = {item.kind for item in column_differences(file("sales_value", x=other), KNOWN, USED)}
        assert kinds == {"added", "removed"}


def test_a_renamed_column_that_also_changed_its_case_and_type_tells_all() -> None:
    found = column_differences(file(quantity=SourceColumn("Quantity", "STRING", is_all_null=True)), KNOWN, USED)
    assert [item.kind for item in found] == ["all_null", "case_changed", "retyped"]


def test_a_column_that_never_had_values_may_stay_empty() -> None:
    known = (SourceColumn("note", "STRING", is_all_null=True),)
    assert column_differences(known, known, ["note"]) == ()


def test_types_that_the_mapping_has_not_seen_are_not_compared() -> None:
    known = [SourceColumn(name) for name in USED]
    columns = [SourceColumn(name, "STRING") for name in USED]
    assert column_differences(columns, known, USED) == ()


def test_message_says_verdict_mode_and_every_difference() -> None:
    found = column_differences(file("quantity", x=SourceColumn("coupon", "STRING")), KNOWN, USED)
    assert judge("quarantine", found).message == (
        "Set aside because its columns differ (quarantine): coupon (STRING) is new; "
        "quantity, which the mapping reads, is gone."
    )


def test_the_contracts_of_source_tables_declare_a_mode(contracts: Mapping[tuple[str, str], Contract]) -> None:
    assert contracts["bronze", "pos_lines"].schema_evolution == "quarantine"
    assert contracts["bronze", "products"].schema_evolution == "freeze"


names = st.text("abAB_", min_size=1, max_size=4)
types = st.sampled_from(["INT", "BIGINT", "STRING", "DOUBLE", "DECIMAL(18,4)", None])
columns_of = st.lists(
    st.builds(SourceColumn, names, types, st.booleans()), unique_by=lambda item: item.name, max_size=6
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[SourceColumn], list[SourceColumn], list[str]]:
    known = draw(columns_of)
    used = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    return draw(columns_of), known, [column.name for column in used]


@given(situations())
def test_every_name_that_one_side_lacks_is_told(
    situation: tuple[list[SourceColumn], list[SourceColumn], list[str]],
) -> None:
    columns, known, used = situation
    found = column_differences(columns, known, used)
    told = " ".join(item.text for item in found).split()
    for name in {column.name for column in columns} ^ {column.name for column in known}:
        assert any(word.rstrip(",") == name for word in told)


@given(situations())
def test_the_order_of_columns_is_no_difference(
    situation: tuple[list[SourceColumn], list[SourceColumn], list[str]],
) -> None:
    columns, known, used = situation
    turned = sorted(columns, key=lambda column: column.name[::-1])
    assert column_differences(turned, known[::-1], used) == column_differences(columns, known, used)


@given(columns_of)
def test_a_file_as_known_is_accepted_by_every_mode(columns: list[SourceColumn]) -> None:
    found = [item for item in column_differences(columns, columns, ()) if item.kind != "ambiguous"]
    assert found == []
    assert {judge(mode, found).action for mode in MODES} == {"accept"}


@given(situations())
def test_a_stricter_mode_is_never_kinder_and_a_lost_used_column_never_accepted(
    situation: tuple[list[SourceColumn], list[SourceColumn], list[str]],
) -> None:
    columns, known, used = situation
    found: tuple[Difference, ...] = column_differences(columns, known, used)
    actions = [SEVERITY[judge(mode, found).action] for mode in ("evolve", "quarantine", "freeze")]
    assert actions == sorted(actions)
    if not {name.lower() for name in used} <= {column.name.lower() for column in columns}:
        assert actions[0] > 0
    if any(item.kind != "added" for item in found):
        assert actions[1:] == [1, 2]

"""JSON records: what each field says is what was written, however it was written."""

import json
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from resources.json_records import json_object, json_values

NUMBERS = (
    "0", "-0", "7", "-12", "1.5", "1.50", "-0.0", "1e2", "1E+16", "1e16", "1.0", "0.1", "1e-7", "NaN", "-Infinity",
    "9007199254740993", "18446744073709551615", "18446744073709551616", "0.30000000000000004", "123456789.123456789",
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
# Space where JSON may have some, and what looks like it within a text.
TEXTS = st.one_of(TEXT, st.sampled_from(['": ', ', "', '":', "\\", '\\": 1', "\x7f\x08\x1f", "1.50", "\u2028"]))
SPACES = st.sampled_from(["", " ", "  ", "\t"])
NAMES = ("a", "b", "c d", '"', "é")


class Written(NamedTuple):
    """A value as somebody wrote it, and as a field of a table has it."""

    json: str
    field: str | None
    nested: str


@st.composite
def texts(draw: st.DrawFn) -> Written:
    said = draw(TEXTS)
    return Written(
        json.dumps(said, ensure_ascii=draw(st.booleans())), said or None, json.dumps(said, ensure_ascii=False)
    )


SCALARS = st.one_of(
    texts(),
    st.sampled_from([Written(number, number, number) for number in NUMBERS]),
    st.sampled_from([Written("true", "true", "true"), Written("false", "false", "false")]),
    st.just(Written("null", None, "null")),
)


@st.composite
def lists(draw: st.DrawFn, items: st.SearchStrategy[Written]) -> Written:
    found, space = draw(st.lists(items, max_size=3)), draw(SPACES)
    nested = "[" + ", ".join(item.nested for item in found) + "]"
    return Written(f"[{space}" + f",{space}".join(item.json for item in found) + "]", nested, nested)


@st.composite
def objects(draw: st.DrawFn, items: st.SearchStrategy[Written]) -> Written:
    found = draw(st.dictionaries(st.sampled_from(NAMES), items, max_size=3))
    nested = "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {item.nested}" for k, item in found.items()) + "}"
    return Written(record(list(found.items()), draw(SPACES), draw(SPACES)), nested, nested)


def record(fields: list[tuple[str, Written]], after_comma: str, after_colon: str) -> str:
    pairs = [f"{json.dumps(name, ensure_ascii=False)}:{after_colon}{value.json}" for name, value in fields]
    return "{" + f",{after_comma}".join(pairs) + "}"


VALUES = st.recursive(SCALARS, lambda items: st.one_of(lists(items), objects(items)), max_leaves=6)


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5), SPACES, SPACES, st.sampled_from(["", "\n"]))
def test_a_field_is_what_was_written(fields: list[tuple[str, Any]], after_comma: str, after_colon: str, end: str):
    """Numbers to the digit, texts to the character, whatever space is between them; a key that repeats is no record."""
    raw = (record(fields, after_comma, after_colon) + end).encode()
    found = json_values(*json_object(raw), NAMES)
    written = dict(fields)
    if len(written) < len(fields):
        assert found == (None, "record.json")
    else:
        assert found == ([written[name].field if name in written else None for name in NAMES], None)

"""Our shapes of ODCS 3.1 against the published JSON schema: the same documents are accepted and refused."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.contracts.loader import FOLDER
from checks.contracts.odcs import read_document
from checks.contracts.place import ContractError, Place
from checks.contracts.standard import DOCUMENT
from tests.conftest import tries
from tests.unit.checks.contracts.odcs_reference import example_files, published_schema

FILES = sorted(FOLDER.glob("*/*.odcs.yaml"))
CHANGES_PER_RUN = tries(200, 10_000)
Step = str | int
# One value of every JSON type, and texts and lists that are right somewhere.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 1.5, "", "x", "a b", "x.y", "a.yaml#/schema/x/properties/y", "string", "integer",
    "object", "array", "time", "library", "sql", "custom", "text", "rowCount", "v3.0.2", [], [1, 2], [1, 1], ["x"],
    ["x", "x"], [{}], {}, {"x": 1}, {"minimum": 1}, {"minimum": "x"}, {"minLength": 1},
    [{"property": "a", "value": []}],
    [{"username": "a"}], [{"url": "a", "type": "b"}], [{"name": "c"}], [{"metric": "rowCount", "mustBe": 1}],
    [{"type": "sql", "query": "q", "mustBeBetween": [1, 2]}], [{"to": "a.b"}], [{"from": "a.b", "to": "c.d"}],
    [{"role": "x"}], [{"channel": "x"}], [{"property": "x", "value": 1}],
)  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    return dict(read_document(path)[1])


def field_names() -> list[str]:
    """Every field that the published schema knows, and one that it does not."""
    found: set[str] = {"surprise"}

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("properties"), dict):
                found.update(node["properties"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    schema = dict(published_schema().schema)
    walk({**schema, "$defs": {name: node for name, node in schema["$defs"].items() if "Server" not in name}})
    return sorted(found)


def containers(node: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """The path of every mapping and list; what a server holds is not ours to judge."""
    if path[:1] == ("servers",) or not isinstance(node, dict | list):
        return
    yield path
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from containers(value, (*path, key))


def changed(document: dict[str, Any], fields: list[str], dice: random.Random) -> tuple[dict[str, Any], str]:
    """A copy with one field taken out, set or added, and words for what was done."""
    result = copy.deepcopy(document)
    path = dice.choice(list(containers(result)))
    node: Any = result
    for step in path:
        node = node[step]
    keys = list(range(len(node))) if isinstance(node, list) else list(node)
    action = dice.choice(("drop", "set", "add"))
    value = copy.deepcopy(dice.choice(VALUES))
    if action == "add" or not keys:
        key: Step = dice.choice([name for name in fields if name != "servers"])
        if isinstance(node, list):
            node.append(value)
        else:
            node[key] = value
    else:
        key = dice.choice(keys)
        if action == "drop":
            del node[key]
        else:
            node[key] = value
    return result, f"{action} {'/'.join(map(str, path))} {key} {json.dumps(value)}"


def disagreement(document: dict[str, Any]) -> str | None:
    """None when the published schema and our shapes agree on a document."""
    theirs = next(published_schema().iter_errors(document), None)
    ours = next(DOCUMENT(document, Place("x")), None)
    return None if (theirs is None) == (ours is None) else f"published: {theirs and theirs.message}; ours: {ours}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_our_contracts_are_valid_under_the_published_schema(path: Path) -> None:
    published_schema().validate(read(path))


def test_published_examples_are_read() -> None:
    assert len(example_files()) == 17
    for path in example_files():
        document, raw = read_document(path)
        assert document.id == raw["id"]
        assert disagreement(dict(raw)) is None


def test_changed_documents_are_judged_alike() -> None:
    documents = [read(path) for path in (*example_files(), *FILES[::6])]
    dice, fields, refused = random.Random(20171211), field_names(), 0
    for _ in range(CHANGES_PER_RUN):
        document, words = changed(dice.choice(documents), fields, dice)
        assert disagreement(document) is None, words
        refused += next(DOCUMENT(document, Place("x")), None) is not None
    assert CHANGES_PER_RUN * 0.3 < refused < CHANGES_PER_RUN * 0.95


COUNT = {"metric": "rowCount", "mustBe": 1}
# Parts at the edges of the standard, for a table's column, in the name of its field.
CORNERS: tuple[dict[str, Any], ...] = (
    {"quality": [COUNT]},
    {"quality": [{**COUNT, "mustBeLessThan": 2}]},
    {"quality": [{**COUNT, "mustBeLessThan": "x"}]},
    {"quality": [{"metric": "rowCount", "mustBeBetween": [1, 2]}]},
    {"quality": [{"metric": "rowCount", "mustBeBetween": [1, 1]}]},
    {"quality": [{"metric": "rowCount", "mustBeBetween": [1, 2, 3]}]},
    {"quality": [{"metric": "rowCount", "mustNotBeBetween": [1, "x"]}]},
    {"quality": [{**COUNT, "type": "sql", "query": "q"}]},
    {"quality": [{**COUNT, "type": "sql"}]},
    {"quality": [{**COUNT, "type": "custom", "engine": "e", "implementation": {}}]},
    {"quality": [{"type": "custom", "engine": "e", "implementation": []}]},
    {"quality": [{"type": "library", "mustBe": 1}]},
    {"quality": [{"type": "text", "mustBe": 1}]},
    {"quality": [{"metric": 1, "mustBe": 1}]},
    {"quality": [{**COUNT, "dimension": "beauty"}]},
    {"quality": [{**COUNT, "id": "a b"}]},
    {"logicalTypeOptions": {}},
    {"logicalTypeOptions": {"format": "x"}},
    {"logicalType": "integer", "logicalTypeOptions": {"multipleOf": 0}},
    {"logicalType": "integer", "logicalTypeOptions": {"format": "f32"}},
    {"logicalType": "string", "logicalTypeOptions": {"minLength": 1.0}},
    {"logicalType": "string", "logicalTypeOptions": {"minLength": -1}},
    {"logicalType": "timestamp", "logicalTypeOptions": {"timezone": True, "minimum": "x"}},
    {"logicalType": "date", "logicalTypeOptions": {"timezone": True}},
    {"logicalType": "boolean", "logicalTypeOptions": {"anything": 1}},
    {"logicalType": "object", "logicalTypeOptions": {"required": ["a", "a"]}},
    {"logicalType": "object", "properties": [{"name": "a"}]},
    {"logicalType": "string", "properties": [{"name": "a"}]},
    {"logicalType": "array", "items": {"logicalType": "string", "properties": [{"name": "a"}]}},
    {"logicalType": "array", "items": {"properties": [{}]}},
    {"logicalType": "string", "items": {}},
    {"relationships": [{"to": ["a.b"]}]},
    {"relationships": [{"to": []}]},
    {"relationships": [{"to": "a b"}]},
    {"relationships": [{"to": "a.b", "from": "c.d"}]},
    {"primaryKeyPosition": 1.0},
    {"primaryKeyPosition": True},
)


@pytest.mark.parametrize("corner", CORNERS, ids=repr)
def test_corners_are_judged_alike(corner: dict[str, Any]) -> None:
    base = {"version": "1", "apiVersion": "v3.1.0", "kind": "DataContract", "id": "a", "status": "active"}
    assert disagreement({**base, "schema": [{"name": "t", "properties": [{"name": "c", **corner}]}]}) is None


@pytest.mark.parametrize(("ends", "count"), [(("a.b", "c.d"), 1), ((["a.b"], ["c.d"]), 1), ((["a.b"], "c.d"), 0)])
def test_both_ends_of_a_relationship_are_of_one_form(ends: tuple[Any, Any], count: int) -> None:
    base = {"version": "1", "apiVersion": "v3.1.0", "kind": "DataContract", "id": "a", "status": "active"}
    document = {**base, "schema": [{"name": "t", "relationships": [{"from": ends[0], "to": ends[1]}]}]}
    assert disagreement(document) is None
    assert (next(DOCUMENT(document, Place("x")), None) is None) == bool(count)


def test_a_date_stays_a_text_as_in_json(tmp_path: Path) -> None:
    path = tmp_path / "x.odcs.yaml"
    path.write_text("version: 2017-12-11\napiVersion: v3.1.0\nkind: DataContract\nid: a\nstatus: active\n")
    assert read_document(path)[1]["version"] == "2017-12-11"


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        ("version: 1.0", "version", "must be a text, not 1.0"),
        ("tags: [1]", "tags[0]", "must be a text, not 1"),
        (
            "schema: [{name: t, properties: [{name: c, required: 'yes'}]}]",
            "schema[0].properties[0].required",
            "or false",
        ),
        ("schema: [{}]", "schema[0]", "'name' is missing"),
        ("schema: [{name: t, quality: [{metric: rowCount}]}]", "schema[0].quality[0]", "exactly one bound"),
        ("surprise: 1", "surprise", "is no field of ODCS 3.1"),
    ],
)
def test_errors_name_the_spot_and_the_rule(tmp_path: Path, line: str, path: str, words: str) -> None:
    base = {"version": "version: '1'", "rest": "apiVersion: v3.1.0\nkind: DataContract\nid: a\nstatus: active"}
    file = tmp_path / "x.odcs.yaml"
    file.write_text("\n".join([line, *(text for key, text in base.items() if not line.startswith(key))]))
    with pytest.raises(ContractError) as caught:
        read_document(file)
    assert (caught.value.file, caught.value.path) == ("x.odcs.yaml", path)
    assert words in caught.value.rule

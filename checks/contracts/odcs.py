"""Reading an Open Data Contract Standard file without losing a word of it.

Belongs here: YAML to the pydantic model of the standard, and the list of fields our compiler honours. Does
not belong here: what the fields mean (`loader`, `quality`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard

from checks.contracts.place import Place
from checks.contracts.standard import DOCUMENT

# What the compiler honours, by the name of the list or mapping that holds it. Everything else is refused,
# because the pydantic models drop an unknown nested field without a word.
_WORDS: Mapping[str, str] = {
    "": "apiVersion kind id version status tags schema team slaProperties customProperties",
    "team": "name",
    "slaProperties": "property value unit element description",
    "schema": "id name physicalName physicalType logicalType description dataGranularityDescription "
    "properties relationships quality",
    "properties": "id name logicalType physicalType logicalTypeOptions description required primaryKey "
    "primaryKeyPosition partitioned unique classification examples relationships quality",
    "logicalTypeOptions": "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength pattern",
    "quality": "id type metric arguments mustBe mustBeGreaterThan mustBeGreaterOrEqualTo mustBeLessThan "
    "mustBeLessOrEqualTo mustBeBetween engine implementation severity description customProperties",
    "relationships": "type from to customProperties",
    "customProperties": "property value",
}
_FIELDS = {section: frozenset(words.split()) for section, words in _WORDS.items()}
# `quality` reads the first two key by key; examples are values.
_FREE_FORM = frozenset({"arguments", "implementation", "examples"})


class _StrictLoader(yaml.CSafeLoader):
    """Safe YAML with the values of JSON: a date stays a text, and a key given twice is an error.

    PyYAML would make a date of `2017-01-02`, which JSON does not know, and keep the last of two keys in silence.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_DATE_TAG = "tag:yaml.org,2002:timestamp"
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE_TAG]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read_document(path: Path, file: str | None = None) -> tuple[OpenDataContractStandard, Mapping[str, Any]]:
    """Parse any ODCS file: the model of the standard's package and the raw mapping.

    Raises ContractError at the first spot where the file is not YAML or not of the standard's shape.
    """
    place = Place(file or path.name)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise place.error(f"is not valid YAML: {error}") from error
    for problem in DOCUMENT(raw, place):
        raise problem
    return OpenDataContractStandard.model_validate(raw), raw


def refuse_unsupported(raw: Mapping[str, Any], place: Place, section: str = "") -> None:
    """Raise ContractError at the first field that the compiler does not honour."""
    for key, value in raw.items():
        if key not in _FIELDS[section]:
            raise place.at(str(key)).error(
                f"this field is not supported here; supported are {', '.join(sorted(_FIELDS[section]))}"
            )
        if key in _FREE_FORM or key not in _FIELDS:
            continue
        if isinstance(value, dict):
            refuse_unsupported(value, place.at(key), key)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if not isinstance(item, dict):
                    raise place.at(key, index).error("must be a mapping")
                refuse_unsupported(item, place.at(key, index), key)
        else:
            raise place.at(key).error("must be a mapping or a list of mappings")


def refuse_other_keys(given: Iterable[str], allowed: Collection[str], place: Place) -> None:
    """Raise ContractError for a key that the compiler does not honour."""
    for key in given:
        if key not in allowed:
            raise place.at(str(key)).error(f"is not supported here; supported are {', '.join(sorted(allowed))}")


def custom_properties(
    entries: Sequence[CustomProperty] | None, allowed: Collection[str], place: Place
) -> dict[str, Any]:
    """Our custom properties by name; ContractError for one that nothing reads or that stands twice."""
    spot, found = place.at("customProperties"), {}
    for entry in entries or []:
        name = str(entry.property)
        if name in found:
            raise spot.at(name).error("stands twice")
        found[name] = entry.value
    refuse_other_keys(found, allowed, spot)
    return found

"""Reading an Open Data Contract Standard file without losing a word of it.

Belongs here: YAML to the pydantic model of the standard, and the list of fields our compiler honours. Does
not belong here: what the fields mean (`loader`, `quality`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import ValidationError

API_VERSION = "v3.1.0"

# What the compiler honours, by the name of the list or mapping that holds it. Everything else is refused,
# because the pydantic models drop an unknown nested field without a word.
_WORDS: Mapping[str, str] = {
    "": "apiVersion kind id version status tags schema team slaProperties",
    "team": "name",
    "slaProperties": "property value unit element description",
    "schema": "id name physicalName physicalType logicalType description dataGranularityDescription "
    "properties relationships quality",
    "properties": "id name logicalType physicalType logicalTypeOptions description required primaryKey "
    "primaryKeyPosition unique classification relationships quality",
    "logicalTypeOptions": "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength pattern",
    "quality": "id type metric arguments mustBe mustBeGreaterThan mustBeGreaterOrEqualTo mustBeLessThan "
    "mustBeLessOrEqualTo mustBeBetween engine implementation severity description",
    "relationships": "type from to customProperties",
    "customProperties": "property value",
}
_FIELDS = {section: frozenset(words.split()) for section, words in _WORDS.items()}
_FREE_FORM = frozenset({"arguments", "implementation"})  # `quality` reads these key by key


class ContractError(ValueError):
    """A contract file is wrong: which file, where in it, and which rule it breaks."""

    def __init__(self, file: str, path: str, rule: str) -> None:
        super().__init__(f"{file}: {path or 'document'}: {rule}")
        self.file = file
        self.path = path
        self.rule = rule


@dataclass(frozen=True)
class Place:
    """A spot in a contract file, for messages."""

    file: str
    path: str = ""

    def at(self, key: str, index: int | None = None) -> Place:
        """The spot one level down."""
        step = key if index is None else f"{key}[{index}]"
        return Place(self.file, f"{self.path}.{step}" if self.path else step)

    def error(self, rule: str) -> ContractError:
        """The error to raise at this spot."""
        return ContractError(self.file, self.path, rule)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where PyYAML keeps the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_document(path: Path, file: str | None = None) -> tuple[OpenDataContractStandard, Mapping[str, Any]]:
    """Parse any ODCS file: the pydantic model and the raw mapping.

    Raises ContractError when the file is not YAML or not of the standard's shape.
    """
    place = Place(file or path.name)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise place.error(f"is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise place.error("must be a mapping")
    try:
        return OpenDataContractStandard.model_validate(raw), raw
    except ValidationError as error:
        first = error.errors()[0]
        spot = ".".join(str(step) for step in first["loc"])
        raise ContractError(place.file, spot, f"is not ODCS: {first['msg']}") from error


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

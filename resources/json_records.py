"""JSON records: the fields of one object as the texts that were delivered.

Belongs here: what a JSON object says, field by field, and why a record is none. Does not belong here: files, messages
and the relation that becomes of them (records).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import orjson

WHITE_SPACE = b" \t\r\n"


class _Number(str):
    """A number as it is written: 1.50 is neither 1.5 nor a float of it."""

    __slots__ = ()


def json_fields(objects: Iterable[Mapping[str, Any]], declared: Sequence[str] | None) -> tuple[str, ...]:
    """The fields of these records: in the order in which they appear, or the declared ones and then others by name."""
    appearing = dict.fromkeys(chain.from_iterable(objects))
    if declared is None:
        return tuple(appearing)
    return (*declared, *sorted(set(appearing) - set(declared)))


def json_values(
    found: Mapping[str, Any] | None, problem: str | None, columns: Sequence[str]
) -> tuple[list[str | None] | None, str | None]:
    """The fields of a JSON record in the order of `columns`, or why it has none."""
    if found is None:
        return None, problem
    return [json_text(found.get(name)) for name in columns], None


def json_text(value: object) -> str | None:
    """One field as a text; an empty one is none."""
    return value or None if value is None or isinstance(value, str) else _json_of(value)


def json_object(raw: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """One JSON object with its numbers as they are written, or why the line is none."""
    found = _written_plainly(raw)
    if found is not None:
        return found, None
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return None, "record.encoding"
    except (ValueError, RecursionError):
        return None, "record.json"
    if not isinstance(found, dict):
        return None, "record.json"
    return (None, problem) if b"\\u" in raw and (problem := _spelled(found)) else (found, None)


def _written_plainly(raw: bytes) -> dict[str, Any] | None:
    """The object, where a fast reader writes the same again but for white space; None: it has to be read with care.

    Then no key repeats, since of those it keeps one, and numbers are written as they were.
    """
    if b"\\" in raw and b"\\u" in raw:
        return None
    try:
        found = orjson.loads(raw)
        again = orjson.dumps(found)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return found if isinstance(found, dict) and (again == raw or _differ_by_space(again, raw)) else None


def _differ_by_space(again: bytes, raw: bytes) -> bool:
    """Whether two texts are one but for white space. Mostly the one written again has none."""
    plain = raw.translate(None, WHITE_SPACE)
    return again == plain or again.translate(None, WHITE_SPACE) == plain


def _spelled(found: Mapping[str, Any]) -> str | None:
    """Why a record with characters that are spelled by their numbers is none.

    JSON may spell half of a surrogate pair, which is no character, and a NUL, which no text of a table holds.
    """
    if not _is_text(found):
        return "record.encoding"
    return "record.control" if any("\x00" in value for value in found.values() if isinstance(value, str)) else None


def _is_text(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key repeats")
    return found


_DECODER = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_Number, object_pairs_hook=_unique_keys
)


def _json_of(value: object) -> str:
    """A value as JSON, its numbers as they were written."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join([f"{_json_of(name)}: {_json_of(item)}" for name, item in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json_of, value)) + "]"
    return orjson.dumps(value).decode()

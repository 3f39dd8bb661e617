"""Source files gone wrong: good files of every format with what senders, disks and wires do to them.

Belongs here: making them. Does not belong here: what must become of them (the tests that read them).
"""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

Kind = Literal["csv", "jsonl", "parquet"]
COLUMNS = ("receipt", "product", "card", "units", "amount", "at")
Bytes = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Mutant:
    """A mutated file. `harm` says what was done to it."""

    number: int
    kind: Kind
    harm: str
    content: bytes

    @property
    def name(self) -> str:
        return f"sales_{self.number}.{self.kind}"


def mutant(number: int) -> Mutant:
    """The file of that number: always the same one."""
    dice = random.Random(number)
    kind: Kind = dice.choice(["csv", "csv", "jsonl", "jsonl", "parquet"])
    harms = BINARY_HARMS if kind == "parquet" else {**BINARY_HARMS, **TEXT_HARMS}
    harm = dice.choice(sorted(harms))
    packed = dice.random() < 0.4
    content = good_file(dice, kind)
    if harm not in AFTER_PACKING:
        content = harms[harm](dice, content)
    if packed:
        content = gzip.compress(content, mtime=0)
    if harm in AFTER_PACKING:
        content = harms[harm](dice, content)
    return Mutant(number, kind, f"{harm}, packed" if packed else harm, content)


def good_file(dice: random.Random, kind: Kind) -> bytes:
    rows = [
        (f"r{n}", f"p{dice.randrange(9)}", f"c{dice.randrange(5)}", str(dice.randrange(1, 9)),
         f"{dice.randrange(1, 99)}.50", "2017-01-03 12:00:00")
        for n in range(dice.randrange(1, 40))
    ]  # fmt: skip
    if kind == "csv":
        return "".join(",".join(row) + "\n" for row in (COLUMNS, *rows)).encode()
    if kind == "jsonl":
        return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows).encode()
    out = io.BytesIO()
    frame = pl.DataFrame(rows, schema=list(COLUMNS), orient="row")
    typed = frame.with_columns(at=pl.lit(datetime(2017, 1, 3, 12)), units=pl.col("units").cast(pl.Int64))  # noqa: DTZ001
    typed.write_parquet(out)
    return out.getvalue()


def _cut(dice: random.Random, content: bytes) -> bytes:
    return content[: dice.randrange(len(content))]


def _flip(dice: random.Random, content: bytes) -> bytes:
    wrong = bytearray(content)
    for _ in range(dice.choice([1, 1, 3, 20])):
        wrong[dice.randrange(len(wrong))] ^= 1 << dice.randrange(8)
    return bytes(wrong)


def _splice(dice: random.Random, content: bytes) -> bytes:
    """A part of the file comes twice or not at all."""
    low, high = sorted(dice.randrange(len(content)) for _ in range(2))
    return content[:high] + content[low:] if dice.random() < 0.5 else content[:low] + content[high:]


def _lines(change: Callable[[random.Random, list[bytes]], list[bytes]]) -> Bytes:
    def harm(dice: random.Random, content: bytes) -> bytes:
        return b"".join(change(dice, content.splitlines(keepends=True)))

    return harm


def _insert(*things: bytes) -> Bytes:
    def harm(dice: random.Random, content: bytes) -> bytes:
        at = dice.randrange(len(content))
        return content[:at] + dice.choice(things) + content[at:]

    return harm


AFTER_PACKING = frozenset({"cut off", "bits flipped", "spliced", "garbage behind"})
BINARY_HARMS: dict[str, Bytes] = {
    "none": lambda _, content: content,
    "cut off": _cut,
    "bits flipped": _flip,
    "spliced": _splice,
    "garbage behind": lambda dice, content: content + dice.randbytes(dice.randrange(1, 99)),
    "empty": lambda *_: b"",
    "other format": lambda dice, _: dice.choice(
        [b"PK\x03\x04rest", b"{}", b"a,b\n1,2\n", b"\xd0\xcf\x11\xe0", b"PAR1"]
    ),
    "zeros": lambda *_: b"\x00" * 100_000,
}
TEXT_HARMS: dict[str, Bytes] = {
    "UTF-16": lambda _, content: content.decode().encode("utf-16"),
    "UTF-16 without mark": lambda _, content: content.decode().encode("utf-16-le"),
    "byte order mark": lambda _, content: b"\xef\xbb\xbf" + content,
    "Latin-1": _insert("café".encode("latin-1"), b"\xe9", b"\xff\xfe"),
    "NUL": _insert(b"\x00", b"\x00\x00\x00", b"\\u0000"),
    "quotes": _insert(b'"', b'""', b"'", b'"\n"'),
    "separators": _insert(b",", b",,,,", b"\t", b";", b":", b"}", b"{", b"]"),
    "numbers": _insert(b"NaN", b"1e999", b"-0", b"9" * 400, b"1,234", "\uff11\uff12".encode()),
    "line ends": lambda dice, content: content.replace(b"\n", dice.choice([b"\r\n", b"\r", b"\n\n", b"\n\r\n"])),
    "mixed line ends": _lines(lambda dice, lines: [
        line.rstrip(b"\n") + dice.choice([b"\n", b"\r\n", b"\n \n"]) for line in lines
    ]),
    "huge field": _insert(b"x" * 200_000, b" " * 200_000),
    "deep": _insert(b"[" * 9_000, b'{"a":' * 9_000),
    "lines shuffled": _lines(lambda dice, lines: dice.sample(lines, len(lines))),
    "lines doubled": _lines(lambda dice, lines: [line for line in lines for _ in range(dice.randrange(3))]),
    "renamed column": lambda _, content: content.replace(b"card", b"loyalty_card"),
    "column gone": lambda _, content: content.replace(b"amount", b"", 1),
    "column twice": lambda _, content: content.replace(b"amount", b"units", 1),
    "hidden column": lambda _, content: content.replace(b"amount", b"_problem", 1),
    "blank": lambda *_: b" \r\n\t\n",
}  # fmt: skip

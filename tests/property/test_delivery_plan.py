"""The plan of deliveries, whole: any sequence of files, kills and replays ends in the rows of a perfect delivery."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

from resources.delivery_plan import LEDGER, QUARANTINE, Intent, commits_of, first_with, is_settled, undo_of
from resources.receipts import Receipt
from tests.property.delivery_machine import TABLE, Books, DeliveryMachine, File, Kill, Record, sequences

Rows = list[tuple[str, Record]]


class MemoryLake:
    """Tables as lists. Every decision is the product's; a kill drops what the process knew, never what it wrote."""

    def __init__(self) -> None:
        self.tables: dict[str, Rows] = {QUARANTINE: [], TABLE: []}
        self.moved: dict[tuple[str, Record], list[str]] = {}
        self.ledger: list[Receipt] = []
        self.intent: Intent | None = None

    def deliver(self, file: File, name: str, kill: Kill, *, is_damaged: bool) -> bool:
        content, delivered = digest(file), digest(file, is_damaged)
        if is_settled(self.ledger, TABLE, name, delivered, "mapping"):
            return False
        self.undo()
        blank = receipt_of(digest(name, delivered), name, delivered, content)
        first = first_with(content, self.ledger)
        if is_damaged:
            blank = replace(blank, outcome="refused", content_sha256=delivered, received=1, quarantined=1)
            return self.commit(blank, {QUARANTINE: [Record(0, 0, is_broken=True)]}, kill)
        if first is not None:
            repeated = replace(blank, outcome="duplicate", received=len(file), duplicates=len(file))
            return self.commit(repeated, {}, kill)
        broken = [record for record in file if record.is_broken]
        new = self.unknown([record for record in file if not record.is_broken])
        counted = replace(
            blank, batch_id=content, received=len(file), accepted=len(new), quarantined=len(broken),
            duplicates=len(file) - len(new) - len(broken),
        )  # fmt: skip
        return self.commit(counted, {QUARANTINE: broken, TABLE: new}, kill)

    def replay(self, kill: Kill) -> bool:
        self.undo()
        held = [row for row in self.held() if row[1].number]
        if not held:
            return False
        new = self.unknown([replace(record, is_broken=False) for _, record in held])
        name = digest(*held)
        receipt = replace(
            receipt_of(name, name, name, name), outcome="replayed", accepted=len(new), quarantined=-len(held),
            duplicates=len(held) - len(new),
        )  # fmt: skip
        return self.commit(receipt, {TABLE: new}, kill, leaving=held)

    def books(self) -> Books:
        sums = Counter()
        for receipt in self.ledger:
            counts = ("received", "accepted", "quarantined", "duplicates")
            sums.update({count: getattr(receipt, count) for count in counts})
        events = tuple(sorted(record.event for _, record in self.tables[TABLE]))
        return Books(
            events, len(self.held()), sums["received"], sums["accepted"], sums["quarantined"], sums["duplicates"]
        )

    # ------------------------------------------------------------------ steps
    def held(self) -> Rows:
        marks = Counter({place: len(batches) for place, batches in self.moved.items()})
        return list((Counter(self.tables[QUARANTINE]) - marks).elements())

    def unknown(self, records: list[Record]) -> list[Record]:
        known = {record.event for _, record in self.tables[TABLE]}
        return [record for record in dict.fromkeys(records) if record.event not in known]

    def commit(self, receipt: Receipt, rows: dict[str, list[Record]], kill: Kill, leaving: Rows | None = None) -> bool:
        tables = commits_of(receipt, {item.batch_id for item in self.ledger})
        if not tables:
            return False
        self.intent = Intent("corner", TABLE, receipt.batch_id)
        for table in tables:
            if table == LEDGER:
                self.ledger.append(receipt)
            elif table == QUARANTINE and leaving:
                for place in leaving:
                    self.moved.setdefault(place, []).append(receipt.batch_id)
            else:
                self.tables[table] += [(receipt.batch_id, record) for record in rows[table]]
            if table == kill:
                return True
        self.intent = None
        return False

    def undo(self) -> None:
        undo = undo_of(self.intent, {item.batch_id for item in self.ledger})
        if undo is not None:
            for table in undo.tables:
                self.tables[table] = [row for row in self.tables[table] if row[0] != undo.batch_id]
            for place, batches in self.moved.items():
                self.moved[place] = [batch for batch in batches if batch != undo.batch_id]
        self.intent = None


def digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()


def receipt_of(batch_id: str, name: str, file_sha256: str, content_sha256: str) -> Receipt:
    return Receipt(
        source="corner", table_name=TABLE, batch_id=batch_id, file_name=name, file_sha256=file_sha256,
        content_sha256=content_sha256, file_bytes=0, mapping_sha256="mapping", file_columns=[], file_column_types=[],
        outcome="ingested", reason=None, received=0, accepted=0, quarantined=0, duplicates=0, late=0, rows_written=0,
    )  # fmt: skip


class PlanMachine(DeliveryMachine):
    def start(self) -> MemoryLake:
        return MemoryLake()


TestDeliveryPlan = PlanMachine.TestCase
TestDeliveryPlan.settings = sequences(in_ci=500, to_certify=10_000, steps=15)

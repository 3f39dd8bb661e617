"""Any sequence of deliveries, repeats, corrections, damaged files, kills and replays, against a naive set of events.

Belongs here: the state machine and its oracle. Does not belong here: what is driven by it: the pure plan
(test_delivery_plan) or a real lake (integration/test_delivery_sequences).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.conftest import CERTIFY_TIMES, tries

TABLE = "pos_lines"
# The process dies as soon as this table is committed; None lets it live.
Kill = Literal["quarantine", "pos_lines", "ingest_ledger"] | None


@dataclass(frozen=True, order=True)
class Record:
    """One line of a file. A correction has the number of its event and another amount; a broken one can be mended."""

    number: int
    amount: int
    is_broken: bool = False

    @property
    def event(self) -> tuple[int, int]:
        return self.number, self.amount


File = tuple[Record, ...]


@dataclass(frozen=True)
class Books:
    """What a lake says of itself: events in the table, records still held, and the sums of the ledger."""

    events: tuple[tuple[int, int], ...]
    held: int
    received: int
    accepted: int
    quarantined: int
    duplicates: int


class System(Protocol):
    """What the machine drives."""

    def deliver(self, file: File, name: str, kill: Kill, *, is_damaged: bool) -> bool:
        """Ingest a file; True when the process was killed."""
        ...

    def replay(self, kill: Kill) -> bool:
        """Mend all held records and replay them; True when the process was killed."""
        ...

    def books(self) -> Books: ...


RECORDS = st.builds(Record, st.integers(1, 6), st.sampled_from([1, 1, 2]), st.sampled_from([False, False, True]))
FILES = st.lists(RECORDS, min_size=1, max_size=5).map(tuple)
KILLS = st.sampled_from([None, None, "quarantine", "pos_lines", "ingest_ledger"])
NAMES = st.sampled_from(["sales_1.csv", "sales_2.csv", "sales_3.csv.gz"])


class DeliveryMachine(RuleBasedStateMachine):
    """The oracle: contents are taken once, events are a set, what is broken is a list until it is mended."""

    def __init__(self) -> None:
        super().__init__()
        self.system = self.start()
        self.files: list[File] = []
        self.settled: set[tuple[File, str, bool]] = set()
        self.taken: set[File] = set()
        self.events: set[tuple[int, int]] = set()
        self.held: list[Record] = []
        self.refused = 0
        self.received = 0

    @abstractmethod
    def start(self) -> System:
        """A new system that has received nothing."""

    @rule(file=FILES, name=NAMES, kill=KILLS, is_damaged=st.sampled_from([False, False, False, True]))
    def deliver(self, file: File, name: str, kill: Kill, is_damaged: bool) -> None:
        self.files.append(file)
        self._delivered(file, name, kill, is_damaged)

    @rule(data=st.data(), name=NAMES, kill=KILLS)
    def deliver_again(self, data: st.DataObject, name: str, kill: Kill) -> None:
        """The same content, its records in the same or another order, under the same or another name."""
        if self.files:
            file = data.draw(st.sampled_from(self.files))
            self._delivered(data.draw(st.sampled_from([file, file[::-1]])), name, kill, False)

    @rule(kill=KILLS)
    def replay(self, kill: Kill) -> None:
        was_killed = self.system.replay(kill)
        if not was_killed or kill == "ingest_ledger":
            self.events |= {record.event for record in self.held}
            self.held = []

    def _delivered(self, file: File, name: str, kill: Kill, is_damaged: bool) -> None:
        was_killed = self.system.deliver(file, name, kill, is_damaged=is_damaged)
        if (was_killed and kill != "ingest_ledger") or (file, name, is_damaged) in self.settled:
            return
        self.settled.add((file, name, is_damaged))
        self.received += 1 if is_damaged else len(file)
        if is_damaged:
            self.refused += 1
        elif file not in self.taken:
            self.taken.add(file)
            self.events |= {record.event for record in file if not record.is_broken}
            self.held += [record for record in file if record.is_broken]

    @invariant()
    def the_books_are_right(self) -> None:
        books = self.system.books()
        assert books.received == books.accepted + books.quarantined + books.duplicates
        assert books.received == self.received
        assert books.quarantined == len(self.held) + self.refused
        assert books.accepted == len(self.events)
        # A killed attempt may leave rows until the next writer comes; what is booked is there.
        assert set(books.events) >= self.events

    def teardown(self) -> None:
        """All that was delivered comes once more and all is mended: the rows are those of a perfect delivery."""
        for file in self.files:
            if file not in self.taken:
                self._delivered(file, "sales_1.csv", None, False)
        self.replay(None)
        books = self.system.books()
        perfect = sorted({record.event for file in self.files for record in file})
        assert list(books.events) == perfect
        assert books.held == self.refused == books.quarantined
        assert books.accepted == len(perfect)


def sequences(in_ci: int, to_certify: int, steps: int, phases: Collection[Phase] = tuple(Phase)) -> settings:
    """So many sequences in CI, and to certify."""
    return settings(
        max_examples=tries(in_ci, to_certify),
        stateful_step_count=steps,
        deadline=None,
        derandomize=CERTIFY_TIMES == 1,
        phases=phases,
    )

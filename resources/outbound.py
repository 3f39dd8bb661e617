"""Sending events to other programs: to a topic of the lake's brokers, to a webhook, or to both.

Belongs here: who has taken which event, and that each gets every one at least once. Does not belong here: what is an
event (outbound_events), what people are told (notifier).

An event is booked in the home when its channel has taken it, and sent again until then: killed in between, it is sent
twice, with one id. A channel begins a week before the lake's clock of the first time that it is sent to: it gets what
holds now, and not the history. Events of one subject are taken in the order in which they happened.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from pyspark.errors import PySparkException

from checks.contracts.messages import broken_rules
from checks.contracts.model import Contract
from resources.lake import Lake
from resources.locks import Locked, file_lock
from resources.outbound_events import CONTENT_TYPE, Event, contracts_by_type, events_since
from resources.settings import WEEK, Settings
from resources.spark_server import SparkServerError
from resources.topics import TopicError, Topics
from resources.webhooks import post

# A webhook that is slow keeps no command longer; what is left goes out next time.
PATIENCE_SECONDS = 60.0
BUSY = "Another process is sending events."
WEBHOOK = "webhook"
_log = logging.getLogger("liftlake.outbound")
# From an instant of the lake's clock on, what happened.
Find = Callable[[datetime], list[Event]]


class NotTaken(RuntimeError):
    """A channel did not take an event; the message says why, without its address."""


@dataclass(frozen=True)
class Book:
    """What the home says of the channels.

    Attributes:
        begins: channel -> instant of the lake's clock from which on it gets events.
        taken: (channel, id) of what was taken.
    """

    begins: dict[str, datetime] = field(default_factory=dict)
    taken: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Outcome:
    """What came of sending: how many events each channel took, and sentences about what it did not."""

    taken: dict[str, int]
    problems: list[str]


def channels_of(settings: Settings) -> tuple[str, ...]:
    """The names of the channels that are set. A topic has its own; a webhook's address is a secret."""
    topic = (f"topic {settings.events_topic}",) if settings.events_topic else ()
    return (*topic, *((WEBHOOK,) if settings.events_webhook else ()))


def book_path(settings: Settings) -> Path:
    return settings.home / "events.jsonl"


def read_book(settings: Settings) -> Book:
    """The book of the lake; empty where nothing was sent. A last line that a kill or a full disk cut off is none."""
    book, path = Book(), book_path(settings)
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    for entry in map(json.loads, lines):
        if "id" in entry:
            book.taken.add((entry["channel"], entry["id"]))
        else:
            book.begins[entry["channel"]] = datetime.fromisoformat(entry["begins"])
    return book


def beginning(settings: Settings, book: Book, channel: str) -> datetime:
    """From when on a channel gets events."""
    return book.begins.get(channel, settings.as_of - WEEK)


def announce(lake: Lake) -> None:
    """Send what waits, where work goes on: it does not fail because another program could not be told."""
    try:
        problems = send_waiting(lake.settings, partial(events_since, lake)).problems
    except (Locked, OSError, PySparkException, SparkServerError) as error:
        problems = [f"Events were not sent ({type(error).__name__}); they go out next time."]
    for problem in problems:
        _log.warning(problem)


def send_waiting(settings: Settings, find: Find) -> Outcome:
    """Send every event that a channel should have and has not taken.

    Args:
        settings: of the lake; where no channel is set nothing is looked for, sent or stored.
        find: the events since an instant, as they happened.

    Raises:
        Locked: another process has been sending for a minute.
    """
    outcome = Outcome({}, [])
    channels = channels_of(settings)
    if not channels:
        return outcome
    path, contracts = book_path(settings), contracts_by_type()
    with file_lock(path.with_suffix(".lock"), wait_seconds=60, busy=BUSY):
        book = read_book(settings)
        with _appended(path) as log:
            for channel in channels:
                if channel not in book.begins:
                    book.begins[channel] = beginning(settings, book, channel)
                    _write(log, {"channel": channel, "begins": book.begins[channel].isoformat()})
            events = find(min(book.begins[channel] for channel in channels))
            sound = [event for event in events if not _refused(contracts[event.type], event, outcome.problems)]
            for channel in channels:
                waiting = [event for event in sound if is_waiting(book, channel, event)]
                _deliver(settings, channel, waiting, log, outcome)
    return outcome


def is_waiting(book: Book, channel: str, event: Event) -> bool:
    """Whether a channel that has begun should have an event and has not taken it."""
    return datetime.fromisoformat(event.time) >= book.begins[channel] and (channel, event.id) not in book.taken


def _deliver(settings: Settings, channel: str, waiting: Sequence[Event], log: TextIO, outcome: Outcome) -> None:
    send = _to_webhook if channel == WEBHOOK else _to_topic
    outcome.taken[channel] = 0
    try:
        for event in send(settings, waiting):
            _book(log, channel, event)
            outcome.taken[channel] += 1
    except (TopicError, NotTaken) as problem:
        left = len(waiting) - outcome.taken[channel]
        outcome.problems.append(f"{channel}: {left} events wait and go out next time. {problem}")


def _to_topic(settings: Settings, events: Sequence[Event]) -> Iterator[Event]:
    """Sends events, and yields each that the broker has; raises NotTaken or TopicError at the first that it has not.

    In rounds of at most one event of each subject: the next is sent when the one before it is there for sure.
    """
    topics, topic = Topics(settings), str(settings.events_topic)
    left = list(events)
    while left:
        first = {event.subject: event for event in reversed(left)}
        batch = [event for event in left if first[event.subject] is event]
        answers = topics.send(topic, [(event.subject, _body(event)) for event in batch], CONTENT_TYPE)
        for event, problem in zip(batch, answers, strict=True):
            if problem is None:
                yield event
        failed = sorted({problem for problem in answers if problem is not None})
        if failed:
            raise NotTaken(f"The broker did not take all of them: {', '.join(failed)}.")
        left = [event for event in left if first[event.subject] is not event]


def _to_webhook(settings: Settings, events: Sequence[Event]) -> Iterator[Event]:
    """Posts events one by one, and yields each that was taken; raises NotTaken at the first that was not."""
    assert settings.events_webhook is not None
    address, deadline = settings.events_webhook.get_secret_value(), time.monotonic() + PATIENCE_SECONDS
    for event in events:
        if time.monotonic() > deadline:
            raise NotTaken(f"It took longer than {PATIENCE_SECONDS:.0f} s.")
        problem = post(address, event.envelope(), CONTENT_TYPE)
        if problem is not None:
            raise NotTaken(f"The answer was: {problem}.")
        yield event


def _body(event: Event) -> bytes:
    return json.dumps(event.envelope()).encode()


def _refused(contract: Contract, event: Event, problems: list[str]) -> bool:
    """Whether an event breaks the contract of its data, which is said and never sent."""
    broken = broken_rules(contract, event.data)
    if broken:
        problems.append(f"An event {event.type} breaks its contract and is not sent ({event.id}): {', '.join(broken)}.")
    return bool(broken)


@contextmanager
def _appended(path: Path) -> Iterator[TextIO]:
    """The book, to be added to; a line that was cut off is gone."""
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
    with path.open("a", encoding="utf-8") as log:
        yield log


def _book(log: TextIO, channel: str, event: Event) -> None:
    """From here on the event is not sent to the channel again."""
    _write(log, {"channel": channel, "id": event.id})


def _write(log: TextIO, entry: dict[str, str]) -> None:
    log.write(json.dumps(entry, sort_keys=True) + "\n")
    log.flush()

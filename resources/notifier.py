"""Telling people: incidents and requests to a log, a webhook, Slack and PagerDuty.

Belongs here: what a message says to each channel, and that each gets it at least once. Does not belong here: what is
worth a message.

A message has an id of what it is about. The log in the home says which channel took which id: what was taken is not
sent again, and what could not be delivered goes out with the next message, if it is among the newest by then: a channel
that is set late does not get the messages of years. Receivers tell repeats by the id.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TextIO

from resources.locks import Locked, file_lock
from resources.settings import Settings
from resources.webhooks import post

PAGERDUTY_EVENTS = "https://events.pagerduty.com/v2/enqueue"
# So many of the newest messages are sent to a channel that has not taken them.
RETOLD = 20
_log = logging.getLogger("liftlake.notifier")
Kind = Literal["incident", "request", "mended"]


@dataclass(frozen=True)
class Message:
    """What is told.

    Attributes:
        subject: what it is about, unique: it makes the id, so that telling it again is no second message.
        kind: an incident has to be looked at; a request says what Liftlake itself is about to do; what was broken is
            mended.
        summary: one sentence.
        reasons: what was found.
        table, owner: whose it is.
        runbook: path of the page that says what to do.
        ends: the subjects of the incidents that are over with it.
    """

    subject: str
    kind: Kind
    summary: str
    reasons: tuple[str, ...]
    table: str
    owner: str
    runbook: str
    ends: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return _id_of(self.subject)


def _id_of(subject: str) -> str:
    return hashlib.sha256(subject.encode()).hexdigest()[:32]


def notify(settings: Settings, messages: Sequence[Message]) -> list[str]:
    """Send what was not taken yet to every channel that is set; returns sentences about what could not be delivered.

    A channel that does not answer raises nothing: work does not fail because somebody could not be told. Neither the
    log nor a sentence names the address of a channel, which is a secret.

    Raises:
        Locked: another process has been sending for a minute.
    """
    path = settings.home / "notifications.jsonl"
    failed: list[str] = []
    if not messages and not path.exists():
        return failed
    with file_lock(path.with_suffix(".lock"), wait_seconds=60, busy="Another process is sending notifications."):
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        taken = {(entry["id"], entry["channel"]) for entry in entries}
        known = {entry["id"]: entry["message"] for entry in entries if entry["channel"] == "log"}
        fresh = [message for message in messages if message.id not in known]
        with path.open("a", encoding="utf-8") as log:
            for message in fresh:
                _note(log, message.id, "log", asdict(message))
                _log.warning("%s: %s (%s, %s)", message.kind, message.summary, message.owner, message.runbook)
            pending = [*(_message(content) for content in known.values()), *fresh][-max(RETOLD, len(fresh)) :]
            for identity, channel, url, body in _deliveries(settings, pending, taken):
                problem = post(url, body)
                if problem is None:
                    _note(log, identity, channel, {})
                    taken.add((identity, channel))
                else:
                    failed.append(f"{channel} did not take {identity}: {problem}; it goes out with the next message.")
    return failed


def tell(settings: Settings, messages: Sequence[Message]) -> None:
    """`notify`, where work goes on: what could not be delivered is logged."""
    try:
        failed = notify(settings, messages)
    except Locked as busy:
        failed = [str(busy)]
    for problem in failed:
        _log.warning(problem)


def _message(content: dict) -> Message:
    return Message(**{**content, "reasons": tuple(content["reasons"]), "ends": tuple(content.get("ends", ()))})


def _note(log: TextIO, identity: str, channel: str, message: dict) -> None:
    log.write(json.dumps({"id": identity, "channel": channel, "message": message}, sort_keys=True) + "\n")
    log.flush()


def _deliveries(
    settings: Settings, messages: Sequence[Message], taken: set[tuple[str, str]]
) -> Iterator[tuple[str, str, str, dict]]:
    """Id, channel, address and body of everything that a channel has not taken."""
    for message in messages:
        text = f"{message.summary} ({message.table}, {message.owner}; see {message.runbook})"
        if settings.webhook_url and (message.id, "webhook") not in taken:
            yield message.id, "webhook", settings.webhook_url.get_secret_value(), {"id": message.id, **asdict(message)}
        if settings.slack_url and (message.id, "slack") not in taken:
            lines = "\n".join(f"• {reason}" for reason in message.reasons)
            yield message.id, "slack", settings.slack_url.get_secret_value(), {"text": f"{text}\n{lines}"}
        if settings.pagerduty_key:
            key, url = settings.pagerduty_key.get_secret_value(), settings.pagerduty_url or PAGERDUTY_EVENTS
            for identity, channel, event in _pages(message, text, taken):
                yield identity, channel, url, {"routing_key": key, "dedup_key": identity, **event}


def _pages(message: Message, text: str, taken: set[tuple[str, str]]) -> Iterator[tuple[str, str, dict]]:
    """What opens an incident at PagerDuty, and what closes those that were opened there."""
    if message.kind == "incident" and (message.id, "pagerduty") not in taken:
        event = {
            "summary": text,
            "source": "liftlake",
            "severity": "error",
            "component": message.table,
            "custom_details": {"reasons": list(message.reasons), "owner": message.owner},
        }
        yield message.id, "pagerduty", {"event_action": "trigger", "payload": event}
    for ended in map(_id_of, message.ends):
        if (ended, "pagerduty") in taken and (ended, "pagerduty resolved") not in taken:
            yield ended, "pagerduty resolved", {"event_action": "resolve"}

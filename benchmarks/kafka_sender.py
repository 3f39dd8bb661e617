"""A producer at a rate, in a process of its own: `python -m benchmarks.kafka_sender BROKERS TOPIC FILE PER_SECOND`.

Prints one JSON object: how many messages the broker acknowledged, when sending began and how long it took.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

from benchmarks.telemetry import Sender

TICKS_PER_SECOND = 50


def main(brokers: str, topic: str, path: str, per_second: str) -> None:
    """Send the lines of a file, so many a second, evenly."""
    sender, at_once = Sender(brokers, topic), int(per_second) // TICKS_PER_SECOND
    began_at, began = time.time(), time.monotonic()
    with Path(path).open("rb") as lines:
        for tick in itertools.count():
            messages = [line.rstrip(b"\n") for line in itertools.islice(lines, at_once)]
            if not messages:
                break
            time.sleep(max(0.0, began + tick / TICKS_PER_SECOND - time.monotonic()))
            sender.send(messages)
    acknowledged = sender.flush()
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({"acknowledged": acknowledged, "began_at": began_at, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Places for processes that shall meet over a network only: network namespaces, where the machine allows them.

Belongs here: making and removing the network. Does not belong here: what runs in it (cluster_processes).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from resources.spark_server import LOOPBACK

# For benchmarks of networks, and routed nowhere (RFC 2544). Two programs at a time have networks of their own.
NETWORK = f"198.18.{os.getpid() % 256}"
PROBE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)"


@dataclass(frozen=True)
class Place:
    """An address that its processes listen on, and what the command line of each of them begins with."""

    address: str
    prefix: tuple[str, ...] = ()

    @property
    def is_namespace(self) -> bool:
        return bool(self.prefix)


@contextmanager
def places(count: int) -> Iterator[tuple[Place, ...]]:
    """The place of this process, and `count` others: namespaces on one bridge with it, or all of them this machine.

    Namespaces take Linux, its `ip` and the right to make networks; they are gone when the block ends.
    """
    with ExitStack() as stack:
        try:
            made = _bridged(count, stack)
        except (OSError, subprocess.CalledProcessError):
            stack.close()
            made = (Place(LOOPBACK),) * (count + 1)
        yield made


def _bridged(count: int, undo: ExitStack) -> tuple[Place, ...]:
    bridge, here = f"ll{os.getpid()}", Place(f"{NETWORK}.1")
    _ip("link", "add", bridge, "type", "bridge")
    undo.callback(_ip, "link", "delete", bridge)
    _ip("address", "add", f"{here.address}/24", "dev", bridge)
    _ip("link", "set", bridge, "up")
    others = [_namespace(bridge, number, undo) for number in range(1, count + 1)]
    return (here, *others)


def _namespace(bridge: str, number: int, undo: ExitStack) -> Place:
    name, outside, inside = f"{bridge}-{number}", f"{bridge}o{number}", f"{bridge}i{number}"
    place = Place(f"{NETWORK}.{number + 1}", ("ip", "netns", "exec", name))
    _ip("netns", "add", name)
    undo.callback(_ip, "netns", "delete", name)
    _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
    undo.callback(_ip, "link", "delete", outside)
    _ip("link", "set", outside, "master", bridge)
    _ip("link", "set", outside, "up")
    _ip("-n", name, "address", "add", f"{place.address}/24", "dev", inside)
    _ip("-n", name, "link", "set", inside, "up")
    _ip("-n", name, "link", "set", "lo", "up")
    _require_way(place)
    return place


def _require_way(place: Place) -> None:
    """A firewall may let nothing through: raise OSError or CalledProcessError unless the place reaches this one."""
    with socket.create_server((f"{NETWORK}.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [*place.prefix, sys.executable, "-c", PROBE, f"{NETWORK}.1", port]
        subprocess.run(command, check=True, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

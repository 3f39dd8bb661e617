"""Places for processes: networks of their own that reach each other and are gone afterwards, or this machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.namespaces import PROBE, Place, places
from resources.spark_server import LOOPBACK

LISTEN = (
    "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); s.accept()"
)


def test_without_the_means_all_places_are_this_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with places(2) as found:
        assert found == (Place(LOOPBACK),) * 3


def test_places_reach_each_other_and_are_gone_afterwards():
    with places(2) as (here, one, other):
        if not one.is_namespace:
            pytest.skip("this machine does not let us make network namespaces")
        assert len({here.address, one.address, other.address}) == 3
        listening = subprocess.Popen(
            [*one.prefix, sys.executable, "-c", LISTEN, one.address], stdout=subprocess.PIPE, text=True
        )
        assert listening.stdout is not None
        port = listening.stdout.readline().strip()
        subprocess.run([*other.prefix, sys.executable, "-c", PROBE, one.address, port], check=True)
        listening.communicate(timeout=10)
        name = one.prefix[-1]
        assert name in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert name not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout

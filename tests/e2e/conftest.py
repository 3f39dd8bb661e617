"""The lake of the sample, driven through the command line: one for the modules that tell its story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sample import write_sample
from resources.settings import load_settings
from tests.command_lake import CommandLake
from tests.conftest import CERTIFY_TIMES
from tests.receivers import Receiver, listening


@dataclass(frozen=True)
class SampleLake(CommandLake):
    """A lake of the files of the sample."""

    @property
    def files(self) -> Path:
        return Path(self.variables["LIFTLAKE_SOURCE_FILES"])


@pytest.fixture(scope="session")
def told() -> Iterator[Receiver]:
    """What the sample's lake tells other programs, from its first run on."""
    with listening() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, told: Receiver) -> Iterator[SampleLake]:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(load_settings(), folder / "files")
    channel = {"LIFTLAKE_EVENTS_WEBHOOK": told.url("events")}
    lake = SampleLake(folder / "home", {"LIFTLAKE_SOURCE_FILES": str(folder / "files"), **channel})
    yield lake
    lake.liftlake("down")


@pytest.fixture(scope="session")
def built(sample: SampleLake) -> dict[str, Any]:
    """What `demo` says of the lake; to certify, its first run died when the first of the dimensions was published."""
    if CERTIFY_TIMES > 1:
        sample.killed("resources.lake.Lake", "publish", "after", "demo")
    return sample.liftlake("demo")

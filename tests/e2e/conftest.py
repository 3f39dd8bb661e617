"""The lake of the sample, driven through the command line: one for each module that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from resources.settings import load_settings
from tests.command_lake import CommandLake
from tests.sample import write_sample


@dataclass(frozen=True)
class SampleLake(CommandLake):
    """A lake of the files of the sample."""

    @property
    def files(self) -> Path:
        return Path(self.variables["LIFTLAKE_SOURCE_FILES"])


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleLake]:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(load_settings(), folder / "files")
    lake = SampleLake(folder / "home", {"LIFTLAKE_SOURCE_FILES": str(folder / "files")})
    yield lake
    lake.liftlake("down")

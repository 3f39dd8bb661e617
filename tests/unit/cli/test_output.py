"""stdout holds a command's answer and nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
import typer

from cli.output import WRONG_USE, instant_of, native_output_aside


def test_what_native_code_prints_is_no_part_of_the_answer(capfd: pytest.CaptureFixture[str]):
    with native_output_aside():
        os.write(1, b"a line of a solver\n")
    os.write(1, b"{}\n")
    assert capfd.readouterr() == ("{}\n", "a line of a solver\n")


def test_an_instant_has_a_time_zone(capfd: pytest.CaptureFixture[str]):
    assert instant_of("--at", "2017-12-04T05:00:00Z") == datetime(2017, 12, 4, 5, tzinfo=UTC)
    for text, reason in (("2017-12-04T05:00:00", "needs a time zone"), ("soon", "is not an instant")):
        with pytest.raises(typer.Exit) as ended:
            instant_of("--at", text)
        assert ended.value.exit_code == WRONG_USE
        assert reason in capfd.readouterr().err


def test_stdout_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(KeyError), native_output_aside():
        raise KeyError
    os.write(1, b"{}\n")
    assert capfd.readouterr().out == "{}\n"

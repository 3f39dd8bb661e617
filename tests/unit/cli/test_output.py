"""stdout holds a command's answer and nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from grpc import RpcError
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from cli.output import SAYS_NO, WRONG_USE, command, instant_of, native_output_aside


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


@pytest.mark.parametrize("error", [SparkConnectGrpcException("Connection refused"), RpcError()])
def test_a_server_that_is_gone_is_named(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("LIFTLAKE_HOME", str(tmp_path))

    @command
    def fails() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        fails()
    assert ended.value.exit_code == SAYS_NO
    assert f"The Spark server of {tmp_path} is gone" in "".join(capfd.readouterr().err.splitlines())


def test_another_error_keeps_its_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIFTLAKE_HOME", str(tmp_path))

    @command
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

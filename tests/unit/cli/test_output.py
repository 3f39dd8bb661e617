"""stdout holds a command's answer and nothing else."""

from __future__ import annotations

import os

import pytest

from cli.output import native_output_aside


def test_what_native_code_prints_is_no_part_of_the_answer(capfd: pytest.CaptureFixture[str]):
    with native_output_aside():
        os.write(1, b"a line of a solver\n")
    os.write(1, b"{}\n")
    assert capfd.readouterr() == ("{}\n", "a line of a solver\n")


def test_stdout_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(KeyError), native_output_aside():
        raise KeyError
    os.write(1, b"{}\n")
    assert capfd.readouterr().out == "{}\n"

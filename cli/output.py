"""What a command prints and how it ends.

Belongs here: the JSON object, the sentence for an error, exit codes. Does not belong here: what a command does.
Exit codes: 0 success, 1 a check or gate says no, 2 wrong use or a failed precondition.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer
from dagster import DagsterExecutionInterruptedError
from rich.console import Console

from checks.contracts.loader import ContractError
from ml.actions_limits import Refused
from ml.frame_checks import BadFrame
from ml.packaging import BundleError
from ml.training import FeatureMismatch
from resources.backup import ArchiveError
from resources.commits import BrokenLog, CommittedTwice
from resources.dbt_project import DbtError
from resources.fixes import FixError
from resources.formats import FormatError
from resources.jars import ToolchainError
from resources.locks import Locked
from resources.mapping import MappingError
from resources.offsets import LostOffsets
from resources.preconditions import full_disk, lost_server
from resources.settings import SettingsError, load_settings
from resources.source_bytes import SourceFileError
from resources.spark_server import SparkServerError
from resources.token_keys import RotationPending
from resources.topics import TopicError

SAYS_NO, WRONG_USE = 1, 2
_STDOUT, _STDERR = 1, 2
# What a user can mend: one sentence, no stack.
USER_ERRORS = (
    ArchiveError, BadFrame, BrokenLog, BundleError, CommittedTwice, ContractError, DbtError, FeatureMismatch, FixError,
    FormatError, Locked, LookupError, LostOffsets, MappingError, Refused, RotationPending, SettingsError,
    SourceFileError, SparkServerError, ToolchainError, TopicError,
)  # fmt: skip
JSON_OPTION = typer.Option(False, "--json", help="Print one JSON object on stdout; everything else goes to stderr.")
P = ParamSpec("P")
R = TypeVar("R")
err = Console(stderr=True)
out = Console(width=None if sys.stdout.isatty() else 140)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(content, default=_plain, sort_keys=True) + "\n")


def instant_of(option: str, text: str) -> datetime:
    """The instant that an option gives; ends the command where it is none, or has no time zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        stop(f"{option} {text!r} is not an instant: write for example 2017-12-11T05:00:00Z.", WRONG_USE)
    if instant.tzinfo is None:
        stop(f"{option} needs a time zone: write for example 2017-12-11T05:00:00Z.", WRONG_USE)
    return instant


@contextmanager
def native_output_aside() -> Iterator[None]:
    """What native code prints goes to stderr: HiGHS now and then has a line of its own, and stdout is the answer's."""
    sys.stdout.flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        yield
    finally:
        os.dup2(kept, _STDOUT)
        os.close(kept)


def _plain(value: object) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def stop(sentence: str, code: int) -> NoReturn:
    """End the command with one clear sentence on stderr."""
    err.print(f"[bold red]Error:[/] {sentence}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """A command whose user errors end in one sentence and exit code 2, and whose Ctrl-C leaves no stack."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except USER_ERRORS as error:
            stop(str(error.args[0]) if isinstance(error, KeyError) else str(error), WRONG_USE)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            stop("Interrupted. What was published stays; the next run completes the rest.", SAYS_NO)
        except typer.Exit:
            raise
        except Exception as error:
            # A full disk shows in as many ways as there are writers.
            sentence = full_disk(load_settings()) or lost_server(load_settings(), error)
            if sentence is None:
                raise
            stop(sentence, SAYS_NO)

    return wrapped

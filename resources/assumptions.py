"""assumptions.yaml: costs, margins and limits that no source tells.

Belongs here: the file, its shape and which lake has a default. Does not belong here: what is done with the numbers
(ml.actions_limits says what they may be).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ml.actions_limits import Assumptions, Limits, Refused
from resources.settings import PROJECT_ROOT, Settings

DEMO_ASSUMPTIONS = PROJECT_ROOT / "deploy" / "assumptions.yaml"
_VERSION_LENGTH = 16


class _Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    budget_usd: float
    slots_per_store: int
    weeks_per_series: int = 1
    min_actions: dict[str, int] = {}
    max_actions: dict[str, int] = {}
    exploration_share: float = 0.1
    hold_out_share: float = 0.1
    maximise: str = "net_margin_usd"


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    costs_usd: dict[str, float]
    margin_percent: dict[str, float]
    limits: _Limits
    seed: int


def assumptions_file(settings: Settings) -> Path | None:
    """The file of a lake: its own, else that of the demo for the demo's source, else None."""
    own = settings.home / "assumptions.yaml"
    if own.exists():
        return own
    return DEMO_ASSUMPTIONS if settings.lake.source == "completejourney" else None


def assumptions_text(settings: Settings) -> str:
    """The content of the file, empty where there is none: what changes when an assumption does.

    Raises:
        Refused: the file cannot be read.
    """
    path = assumptions_file(settings)
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} cannot be read: {error}. Mend or remove the file.") from error


def load_assumptions(settings: Settings) -> Assumptions:
    """The assumptions of a lake.

    Raises:
        Refused: there are none, or one of them is missing or wrong; the message names it.
    """
    text = assumptions_text(settings)
    if not text:
        raise Refused(
            f"There is no assumptions.yaml in {settings.home}: costs, margins and limits are a person's to say. Copy "
            f"deploy/{DEMO_ASSUMPTIONS.name} and write your own numbers."
        )
    try:
        content = _File.model_validate(yaml.safe_load(text))
        limits = Limits(**content.limits.model_dump())
        version = hashlib.sha256(content.model_dump_json().encode()).hexdigest()[:_VERSION_LENGTH]
        return Assumptions(content.costs_usd, content.margin_percent, limits, content.seed, version)
    except yaml.YAMLError as error:
        raise Refused(f"assumptions.yaml is no YAML: {error}. Mend the file.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(f"assumptions.yaml: {field}: {first['msg']}.") from error
    except Refused as error:
        raise Refused(f"assumptions.yaml: {error}") from error

"""The files that are generated from the contracts.

Belongs here: which file comes from which renderer, and whether it is up to date. Does not belong here: their
content (`dbt_yaml`, `dictionary`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from checks.contracts.dbt_yaml import render_models, render_sources
from checks.contracts.dictionary import render_dictionary
from checks.contracts.loader import load_contracts, load_event_contracts
from checks.contracts.model import Contract

SOURCES = Path("dbt/models/staging/_bronze__sources.yml")
MODELS = Path("dbt/models/marts/_silver__models.yml")
DICTIONARY = Path("docs/data_dictionary.md")


def generated_files(contracts: Mapping[tuple[str, str], Contract]) -> dict[Path, str]:
    """Every generated file, by its path below the project's root."""
    return {
        SOURCES: render_sources(contracts),
        MODELS: render_models(contracts, "silver"),
        DICTIONARY: render_dictionary(contracts),
    }


def build(root: Path, check: bool = False) -> list[Path]:
    """Write the generated files that differ below `root`, and return their paths.

    With `check` nothing is written: the result names what is out of date. Raises ContractError for a wrong
    contract.
    """
    different: list[Path] = []
    for path, text in generated_files({**load_contracts(), **load_event_contracts()}).items():
        target = root / path
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            continue
        different.append(path)
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return different

"""Household tokens: a keyed hash in place of an id.

Belongs here: the token of an id. Does not belong here: where keys and ids come from.
"""

from __future__ import annotations

import hashlib
import hmac

import polars as pl

KEY_VERSION = "hk1"


def household_token(household_id: str, key: bytes) -> str:
    """`hk1_` and the HMAC-SHA-256 (RFC 2104) of the id: without the key it can be neither undone nor guessed."""
    return f"{KEY_VERSION}_{hmac.new(key, household_id.encode(), hashlib.sha256).hexdigest()}"


def household_tokens(household_ids: pl.Series, key: bytes) -> pl.DataFrame:
    """One row per household: household_id, household_token, key_version.

    Raises:
        ValueError: an id is null, or ids repeat.
    """
    if household_ids.null_count() or household_ids.is_duplicated().any():
        raise ValueError("Household ids must be present and unique: select them distinct and not null.")
    tokens = [household_token(household_id, key) for household_id in household_ids]
    return pl.DataFrame(
        {"household_id": household_ids, "household_token": tokens, "key_version": [KEY_VERSION] * len(tokens)},
        schema={"household_id": pl.String, "household_token": pl.String, "key_version": pl.String},
    )

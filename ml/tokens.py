"""Household tokens: a keyed hash in place of an id.

Belongs here: the token of an id. Does not belong here: where keys and ids come from.
"""

from __future__ import annotations

import hashlib
import hmac

import polars as pl


def household_token(household_id: str, key: bytes, key_version: int = 1) -> str:
    """`hk<version>_` and the HMAC-SHA-256 (RFC 2104) of the id: without the key it cannot be undone or guessed."""
    return f"hk{key_version}_{hmac.new(key, household_id.encode(), hashlib.sha256).hexdigest()}"


def household_tokens(household_ids: pl.Series, key: bytes, key_version: int = 1) -> pl.DataFrame:
    """One row per household: household_id, household_token, key_version.

    Raises:
        ValueError: an id is null, or ids repeat.
    """
    if household_ids.null_count() or household_ids.is_duplicated().any():
        raise ValueError("Household ids must be present and unique: select them distinct and not null.")
    tokens = [household_token(household_id, key, key_version) for household_id in household_ids]
    versions = [f"hk{key_version}"] * len(tokens)
    return pl.DataFrame(
        {"household_id": household_ids, "household_token": tokens, "key_version": versions},
        schema={"household_id": pl.String, "household_token": pl.String, "key_version": pl.String},
    )

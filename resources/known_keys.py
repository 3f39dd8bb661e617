"""The keys of a table that a stream is written to, kept in memory, so that no batch reads the table to find repeats.

Belongs here: keeping them as the table's versions come, and which rows of a batch have one of them. Does not belong
here: what a repeat is (mapping), judging (splitting). Batches that come now and then ask the table itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from checks.contracts.model import Contract
from resources.lake import Lake

# A table with more is asked itself.
MOST_KEYS = 5_000_000


class KnownKeys:
    """The keys of the rows of one bronze table, while this process is the writer of the lake."""

    def __init__(self, lake: Lake, contract: Contract, key: Sequence[str], most: int = MOST_KEYS) -> None:
        self._lake = lake
        self._contract = contract
        self._key = list(key)
        self._most = most
        self._version = -1
        self._held = pl.DataFrame()

    def among(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        """Those of these rows whose key the table has now; None: it has more than are kept.

        Args:
            rows: the columns of the key, and any others.
        """
        newest = self._lake.newest(self._contract).version
        if newest != self._version and not self._followed(newest):
            self._held = self._all_of(newest)
        self._version = newest
        if self._held.height > self._most:
            return None
        # The few are looked up among the many, not the other way round.
        found = self._held.join(rows, on=self._key, how="semi", nulls_equal=True)
        return rows.join(found, on=self._key, how="semi", nulls_equal=True)

    def _followed(self, newest: int) -> bool:
        """Take in the one version that came since; False: more happened, or not only new rows."""
        if self._version < 0 or newest != self._version + 1:
            return False
        added = self._lake.added(self._contract.published_name, newest, self._key)
        if added is None:
            return False
        if self._held.height <= self._most:
            self._held = self._held.vstack(added)
        return True

    def _all_of(self, version: int) -> pl.DataFrame:
        # One more than are kept tells that there are more.
        held = f"SELECT {', '.join(self._key)} FROM {self._lake.audit_relation(self._contract, version)}"
        return self._lake.query(f"{held} LIMIT {self._most + 1}")

"""Drift of 40 columns of 5 M rows, beside evidently on the same rows in one run.

Belongs here: synthetic rows, the three tests by both programs, equal verdicts beside the times. Does not belong here:
the distances (ml.drift) and the rival's program (drift_rival), which runs in an environment of its own.

Both take frames in memory and give PSI, Kolmogorov-Smirnov and Wasserstein of every column at evidently's thresholds.
Ours makes bins and histograms of the reference too, which a lake stores once at training. evidently brings 27 packages
and another release of a plotting library than the lake's, so `uv` makes an environment for it that is thrown away.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from benchmarks.program import Options, Stopwatch, progress, result
from cli.output import WRONG_USE, stop
from ml.drift import ks, psi, wasserstein
from ml.histograms import Bins, histograms, make_bins
from resources.settings import PROJECT_ROOT, exported

ROWS, REFERENCE_ROWS, COLUMNS, BINS, SEED = 5_000_000, 500_000, 40, 100, 20171204
# What evidently calls drift by default.
KS_LEVEL, LEAST_PSI, LEAST_WASSERSTEIN = 0.05, 0.1, 0.1
RIVAL = ("evidently==0.7.23", "pandas<3", "plotly<6", "pyarrow")
UV = PROJECT_ROOT / ".uv" / "bin" / "uv"


def bench_drift(_options: Options) -> dict[str, Any]:
    """Seconds of both programs, their ratio, and how many of the 120 verdicts are the same."""
    watch = Stopwatch()
    if not UV.exists():
        stop(f"The rival needs {UV.relative_to(PROJECT_ROOT)}: say `make setup`.", WRONG_USE)
    progress(f"making {ROWS:,} rows of {COLUMNS} columns")
    reference, current = drift_rows()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("reference.parquet", "current.parquet")]
        for frame, path in zip((reference, current), paths, strict=True):
            frame.write_parquet(path)
        progress("ours")
        lap = Stopwatch()
        own = verdicts(reference, current)
        seconds = lap.seconds()
        del reference, current
        progress(f"{seconds:.1f} s; evidently, some minutes")
        rival = _rival(paths)
    same = sum(own[test][name] == found for test in own for name, found in rival["verdicts"][test].items())
    drifted = {f"drifted_{test}": float(sum(found.values())) for test, found in own.items()}
    return result(
        "drift",
        {"rows": ROWS, "reference_rows": REFERENCE_ROWS, "columns": COLUMNS, "bins": BINS},
        {"seconds_liftlake": seconds, "same_verdicts": float(same), "verdicts": float(3 * COLUMNS), **drifted},
        watch.seconds(),
        rivals={"evidently": {"seconds": rival["seconds"], "ratio": rival["seconds"] / seconds}},
    )


def drift_rows(rows: int = ROWS, reference_rows: int = REFERENCE_ROWS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reference and current rows: heavy tails, many zeros, counts and bell curves; every second column has moved."""
    random = np.random.default_rng(SEED)
    kinds = (
        lambda size, shift: random.normal(shift, 1 + shift / 2, size),
        lambda size, shift: random.lognormal(shift, 0.8, size),
        lambda size, shift: np.where(random.random(size) < 0.4 - shift / 2, 0.0, random.gamma(2, 1 + shift, size)),
        lambda size, shift: random.poisson(6 * (1 + shift), size).astype(np.float64),
    )
    names = [f"x{number:02}" for number in range(COLUMNS)]
    shifts = [0.0 if number % 2 == 0 else 0.1 + number / COLUMNS / 2 for number in range(COLUMNS)]
    parts = []
    for size, moved in ((reference_rows, False), (rows, True)):
        kind_of = [kinds[number // 2 % len(kinds)] for number in range(COLUMNS)]
        values = (kind(size, shift if moved else 0.0) for kind, shift in zip(kind_of, shifts, strict=True))
        parts.append(pl.DataFrame(dict(zip(names, values, strict=True))))
    return parts[0], parts[1]


def verdicts(reference: pl.DataFrame, current: pl.DataFrame) -> dict[str, dict[str, bool]]:
    """Test -> column -> whether it has drifted, from histograms of both sides."""
    bins = make_bins(reference, reference.columns, BINS)
    sides = [histograms(frame, bins).partition_by("subject", as_dict=True) for frame in (reference, current)]
    found: dict[str, dict[str, bool]] = {"psi": {}, "ks": {}, "wasserstein": {}}
    for item in bins:
        (known, known_sums), (seen, seen_sums) = (_dense(side[item.subject,], item) for side in sides)
        effective = known.sum() * seen.sum() / (known.sum() + seen.sum())
        p_value = stats.kstwobign.sf(float(ks(known, seen)) * np.sqrt(effective))
        found["psi"][item.subject] = bool(psi(known, seen) >= LEAST_PSI)
        found["ks"][item.subject] = bool(p_value < KS_LEVEL)
        distance = wasserstein((known[1:], known_sums[1:]), (seen[1:], seen_sums[1:]))
        found["wasserstein"][item.subject] = distance >= LEAST_WASSERSTEIN
    return found


def _dense(rows: pl.DataFrame, bins: Bins) -> tuple[np.ndarray, np.ndarray]:
    counts, sums = np.zeros(bins.count), np.zeros(bins.count)
    counts[rows["bin"]], sums[rows["bin"]] = rows["row_count"], rows["value_sum"]
    return counts, sums


def _rival(paths: list[Path]) -> dict[str, Any]:
    packages = [word for name in RIVAL for word in ("--with", name)]
    program = str(PROJECT_ROOT / "benchmarks" / "drift_rival.py")
    command = [str(UV), "run", "--quiet", "--no-project", "--python", sys.executable, *packages, "python", program]
    with exported("DO_NOT_TRACK", "1"):
        done = subprocess.run([*command, *map(str, paths)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])

"""evidently on two Parquet files: one JSON object with the seconds of its three tests and their verdicts.

Belongs here: the rival's own calls, in its own environment. Does not belong here: anything of Liftlake.
"""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report  # pyright: ignore[reportMissingImports]
from evidently.metrics import ValueDrift  # pyright: ignore[reportMissingImports]

THRESHOLDS = {"psi": 0.1, "ks": 0.05, "wasserstein": 0.1}


def main(reference_path: str, current_path: str) -> None:
    reference, current = pd.read_parquet(reference_path), pd.read_parquet(current_path)
    columns = list(reference.columns)
    seconds, verdicts = 0.0, {}
    for test, threshold in THRESHOLDS.items():
        began = time.perf_counter()
        definition = DataDefinition(numerical_columns=columns)
        report = Report([ValueDrift(column=name, method=test, threshold=threshold) for name in columns])
        sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
        values = [float(item["value"]) for item in report.run(*sides).dict()["metrics"]]
        seconds += time.perf_counter() - began
        drifted = [value < threshold if test == "ks" else value >= threshold for value in values]
        verdicts[test] = dict(zip(columns, drifted, strict=True))
    print(json.dumps({"seconds": seconds, "verdicts": verdicts}))


if __name__ == "__main__":
    main(*sys.argv[1:])

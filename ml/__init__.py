"""The pure core: features, labels, models, intervals, gates and digests on polars and numpy.

Belongs here: functions from frames to frames that a notebook can call. Does not belong here: Dagster,
Spark, MLflow, files of the lake, clocks, or anything that reads the environment.
"""

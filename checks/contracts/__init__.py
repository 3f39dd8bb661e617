"""The contracts, one `.odcs.yaml` file per table, and the compiler that reads them.

Belongs here: the files in `<layer>/`, the model of a contract, and what is derived from it (Spark and Arrow
schema, Pandera schema, validation plan, dbt YAML, data dictionary). Does not belong here: anything that runs
a query (`resources.validation`) or that knows Dagster (`checks.asset_checks`).

Nothing is imported here, because `plan` and `pandera_schema` need pyspark and the others must not.
"""

{#-
  What a table version was made from, written into its Delta commit: the caller passes it as JSON, model by model, and
  the audit copies it to the view that it publishes. A session setting, so one thread only; in the environment rather
  than in a variable, because dbt parses the whole project again when a variable changes.
-#}
{% macro stamp_commits() %}
  {%- set provenance = fromjson(env_var("LIFTLAKE_PROVENANCE", "{}")).get(model.name) -%}
  {%- if provenance is not none -%}
    {%- call statement('stamp_commits') -%}
      set spark.databricks.delta.commitInfo.userMetadata={{ tojson(provenance) }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}

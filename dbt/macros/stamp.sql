{#-
  What a table version was made from, written into its Delta commit: the caller passes it per model as the variable
  `provenance_<model>`, and the audit copies it to the view that it publishes. A session setting, so one thread only.
-#}
{% macro stamp_commits() %}
  {%- set provenance = var("provenance_" ~ model.name, none) -%}
  {%- if provenance is not none -%}
    {%- call statement('stamp_commits') -%}
      set spark.databricks.delta.commitInfo.userMetadata={{ provenance }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}

{#-
  lake_table: a Delta table that lives on, and that every run gives one new version.

  With `meta.partition_column` a run replaces the weeks of the variables week_start and week_end, a week that has
  become empty included. Without the column, or without the variables, it replaces the whole content. Either way it
  is one atomic commit, and the same input gives the same rows. Columns never change by themselves: where the model
  and the table disagree the run stops, and --full-refresh is the way to say that the change is meant.
-#}
{% materialization lake_table, adapter = 'spark' %}
  {%- set target = this.incorporate(type='table') -%}
  {%- set partition_column = config.meta_get('partition_column', none) -%}
  {%- set predicate = in_weeks(partition_column) | trim if partition_column else 'true' -%}

  {{ run_hooks(pre_hooks) }}
  {%- do stamp_commits() -%}

  {%- if flags.FULL_REFRESH -%}
    {%- if predicate != 'true' -%}
      {%- do exceptions.raise_compiler_error(
          "--full-refresh makes " ~ target ~ " anew and would lose the weeks outside week_start and week_end. "
          ~ "Leave out the two variables or the flag."
      ) -%}
    {%- endif -%}
    {%- call statement('main') -%}
      create or replace table {{ target }} using delta {{ lake_table_properties() }}
      as
      {{ compiled_code }}
    {%- endcall -%}
  {%- else -%}
    {%- set columns = adapter.get_column_schema_from_query(get_empty_subquery_sql(compiled_code)) -%}
    {%- do create_lake_table(target, columns) -%}
    {%- do assert_columns_of_table(target, columns) -%}
    {%- call statement('main') -%}
      insert into {{ target }}
      replace where {{ predicate }}
      {{ compiled_code }}
    {%- endcall -%}
  {%- endif -%}

  {{ run_hooks(post_hooks) }}

  {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Creates the empty table where there is none, and leaves one that exists as it is. -#}
{% macro create_lake_table(target, columns) %}
  {%- call statement('create_lake_table') -%}
    create table if not exists {{ target }} (
      {%- for column in columns %}
      {{ column.name }} {{ column.dtype }}{{ "," if not loop.last }}
      {%- endfor %}
    )
    using delta {{ lake_table_properties() }}
  {%- endcall -%}
{% endmacro %}


{#- File statistics cost up to a third of a large write: `meta.indexed_columns` says for how many leading columns. -#}
{% macro lake_table_properties() -%}
tblproperties ('delta.dataSkippingNumIndexedCols' = '{{ config.meta_get("indexed_columns", 4) }}')
{%- endmacro %}


{#- An insert assigns by position and casts in silence, so names, types and order are compared first. -#}
{% macro assert_columns_of_table(target, columns) %}
  {%- set wanted = describe_columns(columns) -%}
  {%- set found = describe_columns(adapter.get_column_schema_from_query("select * from " ~ target ~ " where false")) -%}
  {%- if wanted != found -%}
    {%- do exceptions.raise_compiler_error(
        "The columns of " ~ model.name ~ " differ from those of the table " ~ target ~ ".\n"
        ~ "  the model gives: " ~ wanted | join(", ") ~ "\n"
        ~ "  the table has:   " ~ found | join(", ") ~ "\n"
        ~ "Correct the model, or build every week once with --full-refresh if the change is meant."
    ) -%}
  {%- endif -%}
{% endmacro %}


{% macro describe_columns(columns) %}
  {%- set described = [] -%}
  {%- for column in columns -%}
    {%- do described.append(column.name ~ " " ~ column.dtype) -%}
  {%- endfor -%}
  {{ return(described) }}
{% endmacro %}

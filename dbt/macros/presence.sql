{#- Whether a table is in this lake: a source delivers what it has, and what hangs on the rest is absent. -#}
{% macro is_present(table) -%}
{{ return(table not in var('absent')) }}
{%- endmacro %}

{#- The business calendar: local dates, business weeks, and the weeks that a run replaces. -#}

{#- The local date of an instant. Right in whatever time zone the Spark session runs. -#}
{% macro local_date(instant) -%}
cast(convert_timezone('{{ var("timezone") }}', {{ instant }}) as date)
{%- endmacro %}


{#- The instant at which a local date begins. Right in whatever time zone the Spark session runs. -#}
{% macro start_of_date(date) -%}
cast(convert_timezone('{{ var("timezone") }}', current_timezone(), cast({{ date }} as timestamp_ntz)) as timestamp)
{%- endmacro %}


{#- The first date of the business week that a date falls in. -#}
{% macro business_week(date) -%}
{%- set weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] -%}
{%- set first_weekday = var("first_weekday") -%}
{%- if first_weekday not in weekdays -%}
  {{ exceptions.raise_compiler_error(
      "The variable first_weekday is '" ~ first_weekday ~ "'. Give one of " ~ weekdays | join(", ") ~ "."
  ) }}
{%- endif -%}
date_sub({{ date }}, pmod(weekday({{ date }}) - {{ weekdays.index(first_weekday) }}, 7))
{%- endmacro %}


{#- A predicate: TRUE for the weeks that this run replaces. -#}
{% macro in_weeks(column) -%}
{%- set week_start = iso_date_variable("week_start") -%}
{%- set week_end = iso_date_variable("week_end") -%}
{%- if (week_start is none) != (week_end is none) -%}
  {{ exceptions.raise_compiler_error(
      "Only one of the variables week_start and week_end is set. Set both, or neither for every week."
  ) }}
{%- elif week_start is none -%}
true
{%- elif week_start > week_end -%}
  {{ exceptions.raise_compiler_error(
      "The variable week_start (" ~ week_start ~ ") is after week_end (" ~ week_end ~ "). Exchange them."
  ) }}
{%- else -%}
{{ column }} between date '{{ week_start }}' and date '{{ week_end }}'
{%- endif -%}
{%- endmacro %}


{#- The value of a date variable as YYYY-MM-DD, or none where it is not set. -#}
{% macro iso_date_variable(name) -%}
{%- set value = var(name, none) -%}
{%- if value is none -%}
  {{ return(none) }}
{%- endif -%}
{%- if not modules.re.fullmatch("\d{4}-\d{2}-\d{2}", value | string) -%}
  {{ exceptions.raise_compiler_error(
      "The variable " ~ name ~ " is '" ~ value ~ "'. Give a date as YYYY-MM-DD."
  ) }}
{%- endif -%}
{{ return(value | string) }}
{%- endmacro %}

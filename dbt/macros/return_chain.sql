{#- The order in which units of a chain were sold and brought back; at one instant the sale comes first. -#}
{% macro return_chain() -%}
partition by household_id, product_id, unit_price_usd
order by event_at, line_kind desc, transaction_id, line_id
{%- endmacro %}

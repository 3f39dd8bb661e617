{{ config(meta={'dagster': {'ref': {'name': 'dim_household'}}}) }}

-- Returns the columns of the silver tables whose names look like a person's identifier. Only tokens may pass.
{% set tables = [
    ref('dim_date'), ref('dim_household'), ref('dim_product'), ref('dim_store'), ref('fct_receipt_lines')
] -%}
{% for name in ['fct_offer_exposures', 'fct_promotions', 'fct_redemptions', 'fct_returns'] -%}
    {% if is_present('silver.' ~ name) -%}
        {% do tables.append(ref(name)) -%}
    {% endif -%}
{% endfor -%}
{% set personal = "(household|customer|shopper|member|person|loyalty|card)_?(id|key|no|number)|e_?mail|phone|address" -%}
{% set found = [] -%}
{% if execute -%}
    {% for table in tables -%}
        {% for column in adapter.get_column_schema_from_query("select * from " ~ table ~ " where false") -%}
            {% if modules.re.search(personal, column.name, modules.re.IGNORECASE) -%}
                {% do found.append("select '" ~ table ~ "' as table_name, '" ~ column.name ~ "' as column_name") -%}
            {% endif -%}
        {% endfor -%}
    {% endfor -%}
{% endif -%}
{% if found -%}
{{ found | join("\nunion all\n") }}
{% else -%}
select cast(null as string) as table_name, cast(null as string) as column_name
where false
{% endif -%}

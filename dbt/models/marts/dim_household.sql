-- One row per household that was seen in receipts, exposures or redemptions, under its token.
-- A household that has no token keeps its row with a null token, which the checks refuse: no household is lost in
-- silence.
with seen as (
    select household_id from {{ ref('stg_bronze__pos_lines') }} where household_id is not null
{%- for table in ['offer_exposures', 'redemptions'] if is_present('bronze.' ~ table) %}
    union
    select household_id from {{ ref('stg_bronze__' ~ table) }}
{%- endfor %}
),

{% if is_present('bronze.households') -%}
demographics as (
    select *
    from {{ ref('stg_bronze__households') }}
    qualify row_number() over (partition by household_id order by known_at desc, row_hash desc) = 1
)
{%- else -%}
demographics as (
    select
        cast(null as string) as household_id,
        cast(null as string) as age_band,
        cast(null as string) as income_band,
        cast(null as string) as home_ownership,
        cast(null as string) as marital_status,
        cast(null as string) as household_size,
        cast(null as string) as household_composition,
        cast(null as string) as kids_count
)
{%- endif %}

select
    tokens.household_token,
    demographics.age_band,
    demographics.income_band,
    demographics.home_ownership,
    demographics.marital_status,
    demographics.household_size,
    demographics.household_composition,
    demographics.kids_count,
    demographics.household_id is not null as has_demographics
from (select distinct household_id from seen) as seen
left join {{ ref('int_household_tokens') }} as tokens on seen.household_id = tokens.household_id
left join demographics on seen.household_id = demographics.household_id

{{ config(meta={'partition_column': 'week_start_date'}) }}

-- One row per transaction and product: the version known last. A line stands in the week of its last version, also
-- where a correction moved it from another week, so repeated keys are looked for in the whole history.
-- Unknown products and bulk measures (petrol) are kept and flagged.
with history as (
    select
        *,
        xxhash64(transaction_id, product_id) as key_hash
    from {{ ref('stg_bronze__pos_lines') }}
),

repeated as (
    {{ repeated_hashes('history') }}
),

corrected as (
    select *
    from history
    left semi join repeated on history.key_hash = repeated.key_hash
    qualify row_number() over (partition by transaction_id, product_id order by known_at desc, row_hash desc) = 1
),

lines as (
    select *
    from history
    left anti join repeated on history.key_hash = repeated.key_hash
    where {{ in_weeks('week_start_date') }}
    union all
    select *
    from corrected
    where {{ in_weeks('week_start_date') }}
),

products as (
    select
        product_id,
        is_bulk_measure
    from {{ ref('dim_product') }}
    where is_current
)

select
    lines.week_start_date,
    lines.transaction_id,
    lines.product_id,
    lines.store_id,
    tokens.household_token,
    lines.quantity_units,
    lines.sales_amount_usd,
    lines.retail_discount_usd,
    lines.coupon_discount_usd,
    lines.coupon_match_discount_usd,
    lines.is_zero_quantity,
    products.product_id is null as is_unknown_product,
    coalesce(products.is_bulk_measure, false) as is_bulk_measure,
    lines.event_at,
    lines.known_at
from lines
left join {{ ref('int_household_tokens') }} as tokens on lines.household_id = tokens.household_id
left join products on lines.product_id = products.product_id

-- One row per receipt line, void or return of it: the version known last, of every week.
-- Nearly every line comes once, so that only the repeated keys are ordered.
with history as (
    select
        transaction_id,
        line_id,
        line_kind,
        product_id,
        store_id,
        household_id,
        week_start_date,
        quantity_units,
        sales_amount_usd,
        retail_discount_usd,
        coupon_discount_usd,
        coupon_match_discount_usd,
        is_zero_quantity,
        is_non_merchandise,
        event_at,
        known_at,
        row_hash,
        xxhash64(transaction_id, line_id) as key_hash
    from {{ ref('stg_bronze__pos_lines') }}
),

repeated as (
    {{ repeated_hashes('history') }}
)

select *
from history
left anti join repeated on history.key_hash = repeated.key_hash
union all
select *
from history
left semi join repeated on history.key_hash = repeated.key_hash
qualify row_number() over (partition by transaction_id, line_id order by known_at desc, row_hash desc) = 1

-- One row per accepted receipt line; a corrected line comes again with a later known_at, a void too.
with source as (
    select * from {{ source('bronze', 'pos_lines') }}
),

renamed as (
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
        row_hash
    from source
)

select * from renamed

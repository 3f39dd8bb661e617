{{ config(enabled='bronze.promotions' not in var('absent')) }}

-- One row per source record and kind; a product, store and week may come more than once.
with source as (
    select * from {{ source('bronze', 'promotions') }}
),

renamed as (
    select
        product_id,
        store_id,
        week_start_date,
        kind,
        location,
        event_at,
        known_at
    from source
)

select * from renamed

-- One row per product and version that the source delivered.
with source as (
    select * from {{ source('bronze', 'products') }}
),

renamed as (
    select
        product_id,
        manufacturer_id,
        department,
        brand,
        product_category,
        product_type,
        package_size,
        is_bulk_measure,
        known_at,
        row_hash
    from source
)

select * from renamed

-- One row per product and version (SCD2), derived from the bronze history alone: the order in which files arrived
-- does not matter. Of versions known at the same instant the one with the greatest row_hash stands, so that no
-- version has an empty validity; then consecutive equal versions become one.
with versions as (
    select *
    from {{ ref('stg_bronze__products') }}
    qualify row_number() over (partition by product_id, known_at order by row_hash desc) = 1
),

changes as (
    select *
    from versions
    qualify row_hash is distinct from lag(row_hash) over (partition by product_id order by known_at)
),

validities as (
    select
        *,
        lead(known_at) over (partition by product_id order by known_at) as valid_to_at
    from changes
)

select
    product_id,
    known_at as valid_from_at,
    valid_to_at,
    valid_to_at is null as is_current,
    manufacturer_id,
    department,
    brand,
    product_category,
    product_type,
    package_size,
    is_bulk_measure,
    coalesce(product_category, 'UNASSIGNED') as product_group
from validities

{{ config(meta={'partition_column': 'week_start_date', 'indexed_columns': 1}) }}

-- One row per product, store, week and kind. This is the largest table, and nearly every key comes once: such rows
-- are copied in the order of the source, and only the keys that may repeat are aggregated. Aggregating all of them
-- gives the same rows in twice the time.
with promotions as (
    select
        *,
        xxhash64(product_id, store_id, week_start_date, kind) as key_hash
    from {{ ref('stg_bronze__promotions') }}
    where {{ in_weeks('week_start_date') }}
),

repeated as (
    {{ repeated_hashes('promotions') }}
)

select /*+ broadcast(repeated) */
    week_start_date,
    product_id,
    store_id,
    kind,
    location,
    1L as location_count,
    event_at,
    known_at
from promotions
left anti join repeated on promotions.key_hash = repeated.key_hash
union all
select /*+ broadcast(repeated) */
    week_start_date,
    product_id,
    store_id,
    kind,
    min(location) as location,
    count(distinct location) as location_count,
    min(event_at) as event_at,
    min(known_at) as known_at
from promotions
left semi join repeated on promotions.key_hash = repeated.key_hash
group by week_start_date, product_id, store_id, kind

-- One row per store and version (SCD2). The source has no stores file, so a store has one version: it is known since
-- its first receipt line was.
select
    store_id,
    min(known_at) as valid_from_at,
    cast(null as timestamp) as valid_to_at,
    true as is_current,
    {{ local_date('min(event_at)') }} as first_sale_date
from {{ ref('stg_bronze__pos_lines') }}
group by store_id

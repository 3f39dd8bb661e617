{{ config(meta={'partition_column': 'week_start_date'}) }}

-- One row per event of the app; bronze has each event once.
select
    events.event_id,
    events.event_type,
    tokens.household_token,
    events.session_id,
    events.store_id,
    events.product_id,
    events.campaign_id,
    events.offer_id,
    events.quantity_units,
    events.is_clock_corrected,
    events.week_start_date,
    events.event_at,
    events.known_at
from {{ ref('stg_bronze__telemetry_events') }} as events
left join {{ ref('int_household_tokens') }} as tokens on events.household_id = tokens.household_id
where {{ in_weeks('events.week_start_date') }}

{{ config(enabled='bronze.telemetry_events' not in var('absent')) }}

-- One row per event of the app.
with source as (
    select * from {{ source('bronze', 'telemetry_events') }}
),

renamed as (
    select
        event_id,
        event_type,
        household_id,
        session_id,
        store_id,
        product_id,
        campaign_id,
        offer_id,
        quantity_units,
        is_clock_corrected,
        week_start_date,
        event_at,
        known_at
    from source
)

select * from renamed

{{ config(enabled='bronze.offer_exposures' not in var('absent')) }}

-- One row per household and campaign that the household was sent.
with source as (
    select * from {{ source('bronze', 'offer_exposures') }}
),

renamed as (
    select
        household_id,
        campaign_id,
        known_at
    from source
)

select * from renamed

{{ config(enabled='bronze.redemptions' not in var('absent')) }}

-- One row per redemption record of a household, an offer, a campaign and a day.
with source as (
    select * from {{ source('bronze', 'redemptions') }}
),

renamed as (
    select
        household_id,
        offer_id,
        campaign_id,
        redeemed_on_date,
        week_start_date,
        event_at,
        known_at
    from source
)

select * from renamed

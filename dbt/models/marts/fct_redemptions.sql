{{ config(meta={'partition_column': 'week_start_date'}) }}

-- One row per household, offer, campaign and day, with the number of redemption records behind it.
with redemptions as (
    select
        week_start_date,
        household_id,
        offer_id,
        campaign_id,
        redeemed_on_date,
        count(*) as redemption_count,
        min(event_at) as event_at,
        min(known_at) as known_at
    from {{ ref('stg_bronze__redemptions') }}
    where {{ in_weeks('week_start_date') }}
    group by week_start_date, household_id, offer_id, campaign_id, redeemed_on_date
)

select
    redemptions.week_start_date,
    tokens.household_token,
    redemptions.offer_id,
    redemptions.campaign_id,
    redemptions.redeemed_on_date,
    redemptions.redemption_count,
    redemptions.event_at,
    redemptions.known_at
from redemptions
left join {{ ref('int_household_tokens') }} as tokens on redemptions.household_id = tokens.household_id

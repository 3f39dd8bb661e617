-- One row per household and campaign that the household was sent. The event is the start of the campaign, which the
-- exposure itself need not carry.
with exposures as (
    select
        household_id,
        campaign_id,
        min(known_at) as known_at
    from {{ ref('stg_bronze__offer_exposures') }}
    group by household_id, campaign_id
),

campaigns as (
    select *
    from {{ ref('stg_bronze__campaigns') }}
    qualify row_number() over (partition by campaign_id order by known_at desc, row_hash desc) = 1
)

select
    tokens.household_token,
    exposures.campaign_id,
    campaigns.campaign_type,
    campaigns.start_date,
    campaigns.end_date,
    {{ start_of_date('campaigns.start_date') }} as event_at,
    exposures.known_at
from exposures
left join {{ ref('int_household_tokens') }} as tokens on exposures.household_id = tokens.household_id
left join campaigns on exposures.campaign_id = campaigns.campaign_id

-- One row per household: the token of its newest key version, so that a new key never doubles a fact.
select
    household_id,
    max_by(household_token, key_version) as household_token
from {{ ref('stg_bronze__household_keys') }}
group by household_id

{{ config(enabled='bronze.households' not in var('absent')) }}

-- One row per household and version of its declared, banded attributes.
with source as (
    select * from {{ source('bronze', 'households') }}
),

renamed as (
    select
        household_id,
        age_band,
        income_band,
        home_ownership,
        marital_status,
        household_size,
        household_composition,
        kids_count,
        known_at,
        row_hash
    from source
)

select * from renamed

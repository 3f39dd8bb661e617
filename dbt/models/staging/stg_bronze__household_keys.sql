-- One row per household and key version: the token that stands for the household from silver on.
with source as (
    select * from {{ source('bronze', 'household_keys') }}
),

renamed as (
    select
        household_id,
        household_token,
        key_version
    from source
)

select * from renamed

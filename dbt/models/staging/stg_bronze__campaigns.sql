{{ config(enabled='bronze.campaigns' not in var('absent')) }}

-- One row per campaign and version that the source delivered.
with source as (
    select * from {{ source('bronze', 'campaigns') }}
),

renamed as (
    select
        campaign_id,
        campaign_type,
        start_date,
        end_date,
        known_at,
        row_hash
    from source
)

select * from renamed

-- One row per date, from the first to the last business week that has a receipt.
-- A day is closed when it lies between the first and the last receipt and has none. The days of a partial week that
-- lie before the first or after the last receipt are not covered, so nothing is claimed about them.
with receipt_dates as (
    select
        {{ local_date('event_at') }} as date,
        min(week_start_date) as week_start_date
    from {{ ref('stg_bronze__pos_lines') }}
    group by 1
),

covered as (
    select
        min(date) as first_date,
        max(date) as last_date,
        min(week_start_date) as first_week_start_date,
        max(week_start_date) as last_week_start_date
    from receipt_dates
),

dates as (
    select
        explode(sequence(first_week_start_date, date_add(last_week_start_date, 6), interval 1 day)) as date,
        first_date,
        last_date
    from covered
    where first_date is not null
)

select
    dates.date,
    {{ business_week('dates.date') }} as week_start_date,
    year(dates.date) as year,
    month(dates.date) as month,
    weekday(dates.date) + 1 as day_of_week,
    weekofyear(dates.date) as iso_week,
    receipt_dates.date is null and dates.date between dates.first_date and dates.last_date as is_closed_day
from dates
left join receipt_dates on dates.date = receipt_dates.date

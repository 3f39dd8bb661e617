{{ config(meta={'dagster': {'ref': {'name': 'fct_receipt_lines'}}}) }}

-- Returns the weeks whose lines or sales differ between bronze and silver. Bronze counts the version of a line that
-- is known last, found here by an aggregate and not by the windows of the model.
with bronze_lines as (
    select
        max_by(line_kind, struct(known_at, row_hash)) as line_kind,
        max_by(week_start_date, struct(known_at, row_hash)) as week_start_date,
        max_by(sales_amount_usd, struct(known_at, row_hash)) as sales_amount_usd
    from {{ source('bronze', 'pos_lines') }}
    group by transaction_id, line_id
),

bronze_weeks as (
    select
        week_start_date,
        count(*) as line_count,
        sum(sales_amount_usd) as sales_amount_usd
    from bronze_lines
    where line_kind = 'sale' and {{ in_weeks('week_start_date') }}
    group by week_start_date
),

silver_weeks as (
    select
        week_start_date,
        count(*) as line_count,
        sum(sales_amount_usd) as sales_amount_usd
    from {{ ref('fct_receipt_lines') }}
    where {{ in_weeks('week_start_date') }}
    group by week_start_date
)

select
    week_start_date,
    bronze_weeks.line_count as bronze_line_count,
    silver_weeks.line_count as silver_line_count,
    bronze_weeks.sales_amount_usd as bronze_sales_amount_usd,
    silver_weeks.sales_amount_usd as silver_sales_amount_usd
from bronze_weeks
full join silver_weeks using (week_start_date)
where
    bronze_weeks.line_count is distinct from silver_weeks.line_count
    or bronze_weeks.sales_amount_usd is distinct from silver_weeks.sales_amount_usd

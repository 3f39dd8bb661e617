{{ config(meta={'partition_column': 'week_start_date'}) }}

-- One row per line of goods that were brought back, in the version known last, with the units that are matched to sales.
select
    lines.week_start_date,
    lines.transaction_id,
    lines.line_id,
    lines.product_id,
    lines.store_id,
    tokens.household_token,
    lines.quantity_units,
    lines.sales_amount_usd,
    cast(coalesce(matches.matched_units, 0) as decimal(18, 4)) as matched_units,
    lines.is_non_merchandise,
    lines.event_at,
    lines.known_at
from {{ ref('int_receipt_lines') }} as lines
left join {{ ref('int_return_matches') }} as matches
    on lines.transaction_id = matches.transaction_id and lines.line_id = matches.line_id
left join {{ ref('int_household_tokens') }} as tokens on lines.household_id = tokens.household_id
where lines.line_kind = 'return' and {{ in_weeks('lines.week_start_date') }}

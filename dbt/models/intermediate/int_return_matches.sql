{{ config(enabled='silver.fct_returns' not in var('absent')) }}

-- One row per line of a household that bought and brought back a product at one unit price: how many units of a sale
-- came back, and how many units of a return are matched.
--
-- First sold, first returned: with S the units sold and R the units brought back so far, U = max(0, running maximum of
-- R - S) units had no sale before them to belong to, and M = R - U are matched. M never runs ahead of S, so that a
-- matched sale always lies before its return; a sale has come back as far as the last M reaches into its part of S.
with chains as (
    select distinct
        household_id,
        product_id
    from {{ ref('stg_bronze__pos_lines') }}
    where line_kind = 'return' and household_id is not null
),

-- All versions of the lines of which any version is in a chain: the version known last may have left it.
touched as (
    select
        transaction_id,
        line_id
    from {{ ref('stg_bronze__pos_lines') }} as lines
    left semi join chains on lines.household_id = chains.household_id and lines.product_id = chains.product_id
),

history as (
    select *
    from {{ ref('stg_bronze__pos_lines') }} as lines
    left semi join touched on lines.transaction_id = touched.transaction_id and lines.line_id = touched.line_id
),

latest as (
    select
        *,
        if(line_kind = 'sale', quantity_units, 0) as sold_units,
        if(line_kind = 'return', quantity_units, 0) as brought_back_units,
        round(sales_amount_usd / nullif(quantity_units, 0), 2) as unit_price_usd
    from history
    qualify row_number() over (partition by transaction_id, line_id order by known_at desc, row_hash desc) = 1
),

running as (
    select
        *,
        sum(sold_units) over so_far as sold_until,
        sum(brought_back_units) over so_far as brought_back_until
    from latest
    where line_kind in ('sale', 'return') and quantity_units > 0 and household_id is not null
    window so_far as ({{ return_chain() }} rows between unbounded preceding and current row)
),

matched as (
    select
        *,
        brought_back_until - greatest(
            0, max(brought_back_until - sold_until) over so_far
        ) as matched_until
    from running
    window so_far as ({{ return_chain() }} rows between unbounded preceding and current row)
)

select
    transaction_id,
    line_id,
    line_kind,
    cast(
        if(
            line_kind = 'sale',
            greatest(0, least(sold_units, max(matched_until) over chain - (sold_until - sold_units))),
            matched_until - coalesce(lag(matched_until) over in_order, 0)
        ) as decimal(18, 4)
    ) as matched_units,
    max(if(line_kind = 'return', known_at, null)) over chain as returns_known_at
from matched
window
    chain as (partition by household_id, product_id, unit_price_usd),
    in_order as ({{ return_chain() }})

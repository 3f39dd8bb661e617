{{ config(meta={'partition_column': 'week_start_date'}) }}

-- One row per receipt line that was sold: the version known last, less what was brought back of it. A line stands in the
-- week of its last version, also where a correction moved it from another week; a line whose last version is a void is
-- gone. Unknown products and bulk measures (petrol) are kept and flagged.
with lines as (
    select *
    from {{ ref('int_receipt_lines') }}
    where line_kind = 'sale' and {{ in_weeks('week_start_date') }}
),

{% if is_present('silver.fct_returns') -%}
returned as (
    select *
    from {{ ref('int_return_matches') }}
    where line_kind = 'sale' and matched_units > 0
),

net as (
    select
        lines.*,
        coalesce(returned.matched_units, 0) as returned_units,
        returned.returns_known_at
    from lines
    left join returned on lines.transaction_id = returned.transaction_id and lines.line_id = returned.line_id
),
{%- else -%}
net as (
    select
        *,
        cast(0 as decimal(18, 4)) as returned_units,
        cast(null as timestamp) as returns_known_at
    from lines
),
{%- endif %}

products as (
    select
        product_id,
        is_bulk_measure
    from {{ ref('dim_product') }}
    where is_current
)

select
    net.week_start_date,
    net.transaction_id,
    net.line_id,
    net.product_id,
    net.store_id,
    tokens.household_token,
    net.quantity_units,
    net.sales_amount_usd,
    net.retail_discount_usd,
    net.coupon_discount_usd,
    net.coupon_match_discount_usd,
    cast(net.returned_units as decimal(18, 4)) as returned_units,
    cast(net.quantity_units - net.returned_units as decimal(18, 4)) as net_quantity_units,
    cast(
        if(
            net.returned_units = 0,
            net.sales_amount_usd,
            round(net.sales_amount_usd * (net.quantity_units - net.returned_units) / net.quantity_units, 4)
        ) as decimal(18, 4)
    ) as net_sales_usd,
    net.returned_units > 0 and net.returned_units = net.quantity_units as is_returned,
    net.is_zero_quantity,
    products.product_id is null as is_unknown_product,
    coalesce(products.is_bulk_measure, false) as is_bulk_measure,
    net.is_non_merchandise,
    net.event_at,
    greatest(net.known_at, net.returns_known_at) as known_at
from net
left join {{ ref('int_household_tokens') }} as tokens on net.household_id = tokens.household_id
left join products on net.product_id = products.product_id

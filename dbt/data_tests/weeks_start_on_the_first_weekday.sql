-- Returns the weeks of the receipts that do not start on the weekday that this project is set to.
select distinct week_start_date
from {{ ref('fct_receipt_lines') }}
where week_start_date <> {{ business_week('week_start_date') }}

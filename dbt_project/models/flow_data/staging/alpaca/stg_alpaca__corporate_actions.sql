-- One row per landed corporate action.
select
    action_type,
    id as action_id,
    symbol,
    old_symbol,
    new_symbol,
    old_rate,
    new_rate,
    rate,
    cash_rate,
    special as is_special,
    ex_date,
    effective_date,
    record_date,
    payable_date as pay_date,
    process_date,
    {{ envelope() }}
from {{ landed('alpaca', 'corporate_actions') }}

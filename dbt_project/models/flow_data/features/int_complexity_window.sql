-- One row: the first session that feat_complexity has to compute again.
{%- set complexity = adapter.get_relation(this.database, this.schema, 'feat_complexity') if execute %}
{%- if complexity and not flags.FULL_REFRESH %}
    {%- set from_date = rebuild_from([ref('equities_ohlcv_adj'), ref('crypto_ohlcv')], relation=complexity) %}
{%- endif %}
select {{ from_date or "date '1900-01-01'" }} as from_date
-- depends_on: {{ ref('equities_ohlcv_adj') }}, {{ ref('crypto_ohlcv') }}

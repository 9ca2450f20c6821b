-- One row per eligible security and session, from data up to the session's close.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe'), ref('symbols'), ref('raw_earnings_dates')]) }}"
) }}
{%- set from_date = rebuild_from(
    [ref('equities_ohlcv_adj'), ref('universe'), ref('symbols'), ref('raw_earnings_dates')]
) if is_incremental() %}
{%- set measures = [
    'mom_5', 'mom_20', 'mom_60', 'mom_126', 'gap_overnight', 'gap_intraday', 'gap_overnight_avg_20', 'drawdown_20',
    'drawdown_60', 'rv_20', 'rv_60', 'downside_vol_20', 'downside_vol_60', 'adv_20', 'turnover', 'amihud_20', 'reversal_1',
    'reversal_5', 'log_price', 'days_to_earnings', 'log_mktcap',
] %}
with bars as (
    select
        bars.security_id,
        bars.symbol,
        bars.session_date,
        bars.close,
        ln(bars.open * bars.split_ratio / lag(bars.close) over history) as overnight,
        ln(bars.close / bars.open) as intraday,
        bars.close_total_return,
        bars.high * bars.split_factor as high_split_adj,
        bars.close_split_adj,
        bars.volume * 1.0 / bars.split_factor as volume_split_adj,
        bars.dollar_volume_usd,
        {{ fixed_point('ln(nullif(1 + bars.ret, 0))', 9) }} as log_ret,
        bars.known_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    {% if is_incremental() %}
    where bars.session_date >= {{ history_from([ref('equities_ohlcv_adj')], from_date, 130) }}
    {% endif %}
    window history as (partition by bars.security_id order by bars.session_date)
),

amounts as (
    select
        *,
        {{ fixed_point('overnight', 9) }} as overnight_fixed,
        log_ret * log_ret as log_ret_squared,
        case when log_ret < 0 then log_ret * log_ret else 0 end as downside_squared,
        {{ fixed_point('dollar_volume_usd', 0) }} as dollar_volume_fixed,
        {{ fixed_point('abs(exp(log_ret / 1e9) - 1) / nullif(dollar_volume_usd, 0) * 1e6', 15) }} as illiquidity,
        {{ fixed_point('volume_split_adj', 3) }} as volume_fixed
    from bars
),

windowed as (
    select
        security_id,
        symbol,
        session_date,
        known_at,
        ln(close_total_return / lag(close_total_return, 5) over history) as mom_5,
        ln(close_total_return / lag(close_total_return, 20) over history) as mom_20,
        ln(close_total_return / lag(close_total_return, 60) over history) as mom_60,
        ln(close_total_return / lag(close_total_return, 126) over history) as mom_126,
        overnight as gap_overnight,
        intraday as gap_intraday,
        case when count(overnight_fixed) over last_20 = 20 then sum(overnight_fixed) over last_20 end as gap_overnight_avg_20,
        case when count(*) over last_20 = 20 then close_split_adj / max(high_split_adj) over last_20 - 1 end as drawdown_20,
        case when count(*) over last_60 = 60 then close_split_adj / max(high_split_adj) over last_60 - 1 end as drawdown_60,
        case
            when count(log_ret) over last_20 >= 10 then {{ exact_stddev(
                'count(log_ret) over last_20', 'sum(log_ret) over last_20', 'sum(log_ret_squared) over last_20', 9
            ) }}
        end as rv_20,
        case
            when count(log_ret) over last_60 >= 30 then {{ exact_stddev(
                'count(log_ret) over last_60', 'sum(log_ret) over last_60', 'sum(log_ret_squared) over last_60', 9
            ) }}
        end as rv_60,
        case
            when count(log_ret) over last_20 >= 10
                then cast(sum(downside_squared) over last_20 as double) / count(log_ret) over last_20
        end as downside_vol_20,
        case
            when count(log_ret) over last_60 >= 30
                then cast(sum(downside_squared) over last_60 as double) / count(log_ret) over last_60
        end as downside_vol_60,
        case when count(*) over last_20 = 20 then sum(dollar_volume_fixed) over last_20 end as adv_20,
        case
            when count(*) over last_60 = 60
                then cast(volume_fixed as double) / nullif(cast(sum(volume_fixed) over last_60 as double), 0)
        end as turnover,
        case
            when count(illiquidity) over last_20 >= 10
                then cast(sum(illiquidity) over last_20 as double) / count(illiquidity) over last_20
        end as amihud_20,
        -log_ret as reversal_1,
        -ln(close_total_return / lag(close_total_return, 5) over history) as reversal_5,
        ln(close) as log_price
    from amounts
    window
        history as (partition by security_id order by session_date),
        last_20 as (partition by security_id order by session_date rows 19 preceding),
        last_60 as (partition by security_id order by session_date rows 59 preceding)
),

announcements as (
    select
        symbol,
        earnings_date,
        min(announced_at) as announced_at,
        min(ingested_at) as first_ingested_at
    from {{ ref('raw_earnings_dates') }}
    group by symbol, earnings_date
),

earnings_files as (
    select distinct ingested_at from {{ ref('raw_earnings_dates') }}
),

-- What a file that landed after the announcement lacked is known when it landed.
earnings as (
    select
        announcements.symbol,
        announcements.earnings_date,
        case
            when before.ingested_at >= announcements.announced_at then announcements.first_ingested_at
            else announcements.announced_at
        end as announced_at
    from announcements
    asof left join earnings_files as before on announcements.first_ingested_at > before.ingested_at
),

listed as (
    select
        windowed.*,
        symbols.sector,
        cast(null as double) as log_mktcap
    from windowed
    inner join {{ ref('universe') }} as universe
        on windowed.security_id = universe.security_id and windowed.session_date = universe.session_date
    left join {{ ref('symbols') }} as symbols
        on {{ symbol_as_of('windowed', 'session_date', keys=['security_id', 'symbol']) }}
    where universe.is_eligible {% if is_incremental() %} and windowed.session_date >= {{ from_date }} {% endif %}
),

-- The next date among those announced by then: one announced later must not even hide it.
upcoming as (
    select
        listed.security_id,
        listed.session_date,
        min(earnings.earnings_date) - listed.session_date as days_to_earnings
    from listed
    inner join earnings
        on
            listed.symbol = earnings.symbol
            and earnings.earnings_date between listed.session_date and listed.session_date + 95
            and listed.known_at >= earnings.announced_at
    group by listed.security_id, listed.session_date
),

eligible as (
    select
        listed.*,
        upcoming.days_to_earnings
    from listed
    left join upcoming
        on listed.security_id = upcoming.security_id and listed.session_date = upcoming.session_date
),

{{ cross_section('eligible', ['security_id', 'symbol', 'sector', 'known_at'], measures) }},

final as (
    select
        security_id,
        symbol,
        session_date,
        {%- for measure in measures %}
        cast(zscore_{{ measure }} as float) as feat_{{ measure }},
        {%- endfor %}
        cast(sin(2 * pi() * (isodow(session_date) - 1) / 5) as float) as feat_dow_sin,
        cast(cos(2 * pi() * (isodow(session_date) - 1) / 5) as float) as feat_dow_cos,
        cast(sin(2 * pi() * (month(session_date) - 1) / 12) as float) as feat_moy_sin,
        cast(cos(2 * pi() * (month(session_date) - 1) / 12) as float) as feat_moy_cos,
        {%- for sector in gics_sectors() %}
        cast(sector = '{{ sector }}' as float) as feat_sector_{{ sector | lower | replace(' ', '_') }},
        {%- endfor %}
        known_at
    from standardised
)

select * from final
order by session_date, security_id

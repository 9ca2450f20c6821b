-- One row per security and session (eligible equities, every crypto pair), from data up to the session's close.
{{ config(
    materialized='incremental', incremental_strategy='append',
    pre_hook="{{ delete_from_session([ref('equities_ohlcv_adj'), ref('universe'), ref('crypto_ohlcv'), ref('int_stress_survival')]) }}"
) }}
{%- set from_date = rebuild_from(
    [ref('equities_ohlcv_adj'), ref('universe'), ref('crypto_ohlcv'), ref('int_stress_survival')]
) if is_incremental() %}
with bars as (
    select
        bars.security_id,
        bars.symbol,
        'equity' as asset_class,
        'XNYS' as calendar,
        252 as sessions_per_year,
        5e8 as full_liquidity_usd,
        bars.session_date,
        bars.close_total_return,
        bars.ret,
        bars.dollar_volume_usd,
        bars.known_at
    from {{ ref('equities_ohlcv_adj') }} as bars
    union all
    select
        crypto.security_id,
        crypto.symbol,
        'crypto' as asset_class,
        'UTC_24X7' as calendar,
        365 as sessions_per_year,
        1e7 as full_liquidity_usd,
        crypto.session_date,
        crypto.close,
        crypto.ret,
        crypto.quote_volume_usd,
        crypto.known_at
    from {{ ref('crypto_ohlcv') }} as crypto
    where crypto.reject_reason is null
),

units as (
    select
        bars.*,
        calendars.session_number,
        cast(round(bars.ret * 1e6) as hugeint) as r,
        {{ fixed_point('bars.dollar_volume_usd', 0) }} as dollar_volume
    from bars
    inner join {{ ref('calendars') }} as calendars
        on bars.calendar = calendars.exchange and bars.session_date = calendars.session_date
    {% if is_incremental() %}
    where bars.session_date >= {{ history_from([ref('equities_ohlcv_adj'), ref('crypto_ohlcv')], from_date, 260) }}
    {% endif %}
),

sums as (
    select
        security_id,
        symbol,
        asset_class,
        sessions_per_year,
        full_liquidity_usd,
        session_date,
        known_at,
        count(r) over year as n,
        sum(r) over year as s1,
        sum(r * r) over year as s2,
        sum(r * r * r) over year as s3,
        sum(r * r * r * r) over year as s4,
        sum(r) over last_120 as path_120,
        sum(abs(r)) over last_120 as length_120,
        sum(dollar_volume) over last_20 as dollar_volume_20,
        count(*) over last_20 as sessions_20,
        close_total_return / lag(close_total_return, 20) over history - 1 as roc,
        count(*) over year as bars_252,
        session_number - min(session_number) over year + 1 as sessions_252
    from units
    window
        history as (partition by security_id order by session_date),
        year as (partition by security_id order by session_date rows 251 preceding),
        last_120 as (partition by security_id order by session_date rows 119 preceding),
        last_20 as (partition by security_id order by session_date rows 19 preceding)
),

moments as (
    select
        *,
        n * s2 - s1 * s1 as m2,
        n * n * s3 - 3 * n * s1 * s2 + 2 * s1 * s1 * s1 as m3,
        n * n * n * s4 - 4 * n * n * s1 * s3 + 6 * n * s1 * s1 * s2 - 3 * s1 * s1 * s1 * s1 as m4
    from sums
    where n >= 60 {% if is_incremental() %} and session_date >= {{ from_date }} {% endif %}
),

-- The constant stands here and not in the join: a condition on one side only makes DuckDB compare every pair of rows.
universe as (
    select
        security_id,
        session_date,
        'equity' as asset_class,
        is_eligible
    from {{ ref('universe') }}
),

tested as (
    select
        moments.*,
        coalesce(universe.is_eligible, true) as is_eligible,
        complexity.entropy,
        complexity.hurst,
        complexity.adx,
        complexity.cvar,
        complexity.tail_gain,
        coalesce(stress.survived / nullif(stress.events, 0), 0.5) as survival,
        moments.m3 / nullif(pow(cast(moments.m2 as double), 1.5), 0) as skew_signed,
        1 - moments.bars_252 / moments.sessions_252 as gap_ratio,
        sqrt(cast(moments.m2 as double) / (moments.n * (moments.n - 1))) / 1e6 * sqrt(moments.sessions_per_year) as volatility_ann,
        cast(moments.dollar_volume_20 as double) / moments.sessions_20 as adv_usd
    from moments
    left join universe
        on
            moments.security_id = universe.security_id
            and moments.session_date = universe.session_date
            and moments.asset_class = universe.asset_class
    left join {{ ref('feat_complexity') }} as complexity
        on moments.security_id = complexity.security_id and moments.session_date = complexity.session_date
    asof left join {{ ref('int_stress_survival') }} as stress
        on moments.security_id = stress.security_id and moments.session_date >= stress.end_date
),

ranged as (
    select
        *,
        min(skew_signed) over peers as skew_low,
        max(skew_signed) over peers as skew_high,
        min(tail_gain) over peers as gain_low,
        max(tail_gain) over peers as gain_high,
        max(abs(cvar)) over peers as cvar_high
    from tested
    where is_eligible
    window peers as (partition by asset_class, session_date)
),

scored as (
    select
        *,
        (
            coalesce((skew_signed - skew_low) / nullif(skew_high - skew_low, 0), 0.5)
            + coalesce((tail_gain - gain_low) / nullif(gain_high - gain_low, 0), 0.5)
        ) * least(1, n / 252) as antifragility
    from ranged
),

final as (
    select
        security_id,
        symbol,
        asset_class,
        session_date,
        cast(cast(s1 as double) / n / 1e6 * sessions_per_year as float) as feat_momentum,
        cast(volatility_ann as float) as feat_volatility_ann,
        cast(1 / (volatility_ann + 1e-9) as float) as feat_stability,
        cast(entropy as float) as feat_entropy,
        cast(abs(cast(path_120 as double)) / nullif(cast(length_120 as double), 0) as float) as feat_efficiency,
        cast(hurst as float) as feat_hurst,
        cast(2 * abs(hurst - 0.5) as float) as feat_hurst_clean,
        cast(adx as float) as feat_adx,
        cast(case when adv_usd is not null then least(1, adv_usd / full_liquidity_usd) end as float) as feat_liquidity,
        cast(antifragility as float) as feat_antifragility,
        cast(survival as float) as feat_survival,
        cast(abs(skew_signed) as float) as feat_skew,
        cast(cast(m4 as double) / nullif(cast(m2 as double) * cast(m2 as double), 0) - 3 as float) as feat_kurtosis,
        cast(cvar as float) as feat_cvar,
        cast(roc as float) as feat_roc,
        cast(adv_usd as float) as feat_adv_usd,
        cast(volatility_ann * sqrt(1e6 / nullif(adv_usd, 0)) as float) as feat_eci,
        cast(
            (1 - antifragility / nullif(max(antifragility) over peers, 0))
            + abs(cvar) / nullif(cvar_high, 0) + 2 * (1 - survival) + 5 * gap_ratio
            as float
        ) as feat_fragility,
        cast(n as integer) as feat_n_obs,
        cast(gap_ratio as float) as feat_gap_ratio,
        known_at
    from scored
    window peers as (partition by asset_class, session_date)
)

select * from final
order by session_date, asset_class, security_id

-- One row per table, symbol and session that should be there.
with compared as (
    select
        expected.*,
        observed.table_name is not null as is_there,
        observed.row_count,
        observed.source_name,
        observed.reject_reason,
        observed.flag,
        observed.first_observed_at,
        observed.last_observed_at,
        -- What pauses for so long is a halt that no return spans, not a hole in the data; an event table has no symbol.
        observed.table_name is null and expected.symbol <> ''
        and expected.dt - max(observed.dt) over so_far > {{ threshold('identity_gap_days') }} as is_long_gap
    from {{ ref('int_expected_partitions') }} as expected
    left join {{ ref('int_observed_partitions') }} as observed
        on
            expected.table_name = observed.table_name
            and expected.symbol is not distinct from observed.symbol
            and expected.dt = observed.dt
    window so_far as (partition by expected.table_name, expected.symbol order by expected.dt rows unbounded preceding)
),

judged as (
    select
        table_name,
        symbol,
        dt,
        expected_rows,
        coalesce(source_name, 'none') as source_name,
        case
            when is_long_gap then 'AMBER'
            when not is_there or row_count > expected_rows or reject_reason is not null then 'RED'
            when flag is not null then 'AMBER'
            else 'GREEN'
        end as status,
        case
            when is_long_gap then 'LONG_GAP'
            when not is_there then 'NO_DATA'
            when row_count > expected_rows then 'ROW_COUNT_HIGH'
            else coalesce(reject_reason, flag, case when is_early_close then 'SHORT_SESSION' else 'OK' end)
        end as qc_code,
        coalesce(row_count, 0) as row_count,
        first_observed_at,
        last_observed_at
    from compared
),

final as (
    select
        cast(md5(concat_ws('|', table_name, coalesce(symbol, ''), dt)) as uuid) as id,
        source_name,
        table_name,
        nullif(symbol, '') as symbol,
        dt,
        cast(null as varchar) as partition_key,
        status,
        cast(case status when 'GREEN' then 1 when 'AMBER' then 0.5 else 0 end as double) as qc_score,
        row_count,
        expected_rows,
        qc_code,
        first_observed_at,
        last_observed_at
    from judged
)

select * from final
order by table_name, dt, symbol

-- One row per table, symbol and session that should be there.
with judged as (
    select
        expected.table_name,
        expected.symbol,
        expected.dt,
        expected.expected_rows,
        coalesce(observed.source_name, 'none') as source_name,
        case
            when
                observed.symbol is null
                or observed.row_count > expected.expected_rows
                or observed.reject_reason is not null
                then 'RED'
            when observed.flag is not null then 'AMBER'
            else 'GREEN'
        end as status,
        case
            when observed.symbol is null then 'NO_DATA'
            when observed.row_count > expected.expected_rows then 'ROW_COUNT_HIGH'
            else coalesce(
                observed.reject_reason, observed.flag, case when expected.is_early_close then 'SHORT_SESSION' else 'OK' end
            )
        end as qc_code,
        coalesce(observed.row_count, 0) as row_count,
        observed.first_observed_at,
        observed.last_observed_at
    from {{ ref('int_expected_partitions') }} as expected
    left join {{ ref('int_observed_partitions') }} as observed
        on
            expected.table_name = observed.table_name
            and expected.symbol = observed.symbol
            and expected.dt = observed.dt
),

final as (
    select
        cast(md5(concat_ws('|', table_name, symbol, dt)) as uuid) as id,
        source_name,
        table_name,
        symbol,
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

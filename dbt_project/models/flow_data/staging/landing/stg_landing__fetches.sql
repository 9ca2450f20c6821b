-- One row per fetch: per landed file, and per record of a fetch that landed none.
{%- set pattern = environment('TRADEML_DATA', 'data') ~ '/raw/*/*/*/*.parquet' %}
{%- set any_file = execute and run_query("select 1 from glob('" ~ pattern ~ "') limit 1").rows | length %}
with footers as (
    {%- if any_file %}
    select
        file_name,
        decode(key) as fact,
        decode(value) as content
    from parquet_kv_metadata('{{ pattern }}')
    {%- else %}
    select
        cast(null as varchar) as file_name,
        cast(null as varchar) as fact,
        cast(null as varchar) as content
    where false
    {%- endif %}
),

final as (
    select
        max(content) filter (where fact = 'trademl_ingest_id') as ingest_id,
        max(content) filter (where fact = 'trademl_vendor') as vendor,
        max(content) filter (where fact = 'trademl_endpoint') as endpoint,
        max(content) filter (where fact = 'trademl_dataset') as dataset,
        cast(max(content) filter (where fact = 'trademl_ingested_at') as timestamptz) as ingested_at,
        cast(nullif(max(content) filter (where fact = 'trademl_window_start'), '') as date) as window_start_date,
        cast(nullif(max(content) filter (where fact = 'trademl_window_end'), '') as date) as window_end_date,
        max(content) filter (where fact = 'trademl_symbols') as symbols,
        cast(max(content) filter (where fact = 'trademl_rows') as bigint) as row_count,
        max(content) filter (where fact = 'trademl_payload_sha256') as payload_sha256,
        coalesce(
            max(content) filter (where fact = 'trademl_outcome'),
            case max(content) filter (where fact = 'trademl_rows') when '0' then 'empty' else 'answered' end
        ) as outcome,
        nullif(max(content) filter (where fact = 'trademl_reason'), '') as reason
    from footers
    group by file_name
)

select * from final

-- One row per split or dividend and fetch, of the vendors whose events feed nothing. Append-only.
select * from {{ ref('stg_massive__splits') }}
where {{ only_new_files('massive', 'splits') }}
union all by name
select * from {{ ref('stg_massive__dividends') }}
where {{ only_new_files('massive', 'dividends') }}
union all by name
select * from {{ ref('stg_alphavantage__splits') }}
where {{ only_new_files('alphavantage', 'splits') }}
union all by name
select * from {{ ref('stg_alphavantage__dividends') }}
where {{ only_new_files('alphavantage', 'dividends') }}
union all by name
select * from {{ ref('stg_fmp__splits') }}
where {{ only_new_files('fmp', 'splits') }}
union all by name
select * from {{ ref('stg_fmp__dividends') }}
where {{ only_new_files('fmp', 'dividends') }}
order by vendor, symbol, ex_date, event_type, ingest_id

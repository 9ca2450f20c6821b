-- One row per exchange session and fetch. Append-only.
select * from {{ ref('stg_exchange_calendars__sessions') }}
where {{ only_new_files('exchange_calendars', 'sessions') }}
order by exchange, session_date, ingest_id

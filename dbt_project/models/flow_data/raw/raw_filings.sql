-- One row per filing of a company and fetch. Append-only.
select * from {{ ref('stg_sec_edgar__submissions') }}
where {{ only_new_files('sec_edgar', 'submissions') }}
order by cik, filing_date, accession_number, ingest_id

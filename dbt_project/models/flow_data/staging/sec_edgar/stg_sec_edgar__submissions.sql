-- One row per filing of a company and fetch.
select
    cik,
    accessionnumber as accession_number,
    form,
    filingdate as filing_date,
    vendor_ts as accepted_at,
    reportdate as report_date,
    items,
    {{ envelope() }}
from {{ landed('sec_edgar', 'submissions') }}

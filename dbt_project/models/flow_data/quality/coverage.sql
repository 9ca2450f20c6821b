-- One row per table and year.
select
    table_name,
    cast(year(dt) as integer) as year,
    count(*) as expected,
    count(*) filter (where status = 'GREEN') as green,
    count(*) filter (where status = 'AMBER') as amber,
    count(*) filter (where status = 'RED') as red,
    count(*) filter (where status = 'GREEN') / count(*) as green_fraction
from {{ ref('partition_status') }}
where qc_code <> 'NO_SESSION'
group by table_name, year(dt)
order by table_name, year

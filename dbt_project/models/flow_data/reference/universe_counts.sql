-- One row per session, rule and share class.
select
    session_date,
    rule,
    share_class,
    rule = 'LET_IN' as is_eligible,
    count(*) as securities,
    max(known_at) as known_at
from {{ ref('universe') }}
group by session_date, rule, share_class
order by session_date, rule, share_class

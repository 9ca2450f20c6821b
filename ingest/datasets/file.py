"""Reference files as datasets."""

from functools import partial

from ingest.datasets.common import Datasets
from ingest.landing.reference import land_file

DATASETS: Datasets = {
    ("file", dataset): partial(land_file, dataset=dataset)
    for dataset in ("sectors", "index_membership", "earnings_dates")
}

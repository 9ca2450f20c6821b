"""Reference files as datasets: landed when their content has changed."""

from functools import partial

from ingest.landing import bookmarks
from ingest.landing.job import IngestReport, Job
from ingest.landing.reference import land_whole
from ingest.landing.writer import Fetch
from ingest.payloads.endpoint import Endpoint
from ingest.transport.client import request_hash
from ingest.vendors.dataset import Dataset, Vendor
from ingest.vendors.reference_files import client as file
from ingest.vendors.reference_files.schema import ALL


def land_file(job: Job, endpoint: Endpoint) -> IngestReport:
    """Lands a reference file unless its content is the one landed last, retracted or not."""
    dataset, folder = endpoint.name, job.settings.reference_dir
    wanted = " or ".join(file.names(dataset))
    if folder is None:
        return IngestReport(skipped=(f"no data: TRADEML_REFERENCE_DIR is not set ({wanted})",))
    reference_file = file.find(folder, dataset)
    if reference_file is None:
        return IngestReport(skipped=(f"no data: {folder} has no {wanted}",))
    chain = request_hash("file", dataset, {"sha256": reference_file.sha256})
    last = bookmarks.landed(job.data_dir, endpoint, with_retracted=True)[-1:]
    if last and last[0].request_hash == chain:
        is_retracted = last[0].path.stem in bookmarks.retracted_ids(job.data_dir)
        what = "was retracted; correct it first" if is_retracted else "was landed"
        return IngestReport(
            skipped=(f"{reference_file.path.name} has not changed since it {what}",)
        )
    return land_whole(job, Fetch(endpoint, dataset, chain), file.pages(reference_file, endpoint))


VENDOR = Vendor(
    name="file",
    endpoints=ALL,
    datasets=tuple(
        Dataset(name=endpoint.name, endpoint=endpoint, land=partial(land_file, endpoint=endpoint))
        for endpoint in ALL
    ),
)

"""``trademl validate``: audits the artifacts of a finished run."""

from pathlib import Path

import click

from trademl.cli import names
from trademl.cli.options import data_option
from trademl.errors import TradeMLError
from trademl.settings import Settings


@click.command("validate")
@click.option(
    "--run-id", required=True, shell_complete=names.runs, help="The run, exactly as it was named."
)
@data_option
def validate_command(run_id: str, data_dir: Path | None) -> None:
    """Check that a run is complete, consistent and unchanged; exit 1 where it is not.

    Reads the run, the head of its ledger as recorded with its snapshot, and its data files.
    """
    from trademl.runs.workspace import find_run

    folder = data_dir or Settings().data
    workspace = find_run(folder, run_id)
    # They take seconds to import: the run id is checked before.
    from optimize.sleeve.tamper_check import validate_sealed_run
    from optimize.sleeve.validation import AUDIT_SUFFIX, write_audit

    result = validate_sealed_run(workspace.root, folder, run_id)
    for finding in result.findings:
        click.echo(f"{'FAIL' if finding.is_failure else 'pass'}  {finding.code}: {finding.message}")
    # A suffix of its own: the audit that the run made of itself is never overwritten.
    page = write_audit(workspace.root, result, suffix=AUDIT_SUFFIX)
    click.echo(f"written: {page}")
    if result.failures:
        codes = ", ".join(sorted({finding.code for finding in result.failures}))
        raise TradeMLError(f"run {run_id}: {len(result.failures)} checks failed: {codes}")

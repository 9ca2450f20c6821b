"""What the shell completes: names of profiles, scanners, stages, vendors, versions and runs.

Each is one of click's ``shell_complete`` callbacks. Imports stand inside, because a completion
imports the command's module at every press of the key; none needs LightGBM, dbt or a lake.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from trademl.errors import TradeMLError
from trademl.settings import Settings

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completes(find: Callable[[click.Context], Iterable[str]]) -> Complete:
    """The callback that offers the names that begin as the word does."""

    def complete(
        ctx: click.Context,
        _parameter: click.Parameter,
        incomplete: str,
    ) -> list[CompletionItem]:
        names: list[str] = []
        # A message would be written into the line that is being typed.
        with suppress(TradeMLError, OSError, ValueError, LookupError):
            names = sorted(find(ctx))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    complete.__doc__ = find.__doc__
    return complete


def _data_dir(ctx: click.Context) -> Path:
    """The data directory as the line has it so far."""
    return Path(ctx.params.get("data_dir") or ctx.params.get("data") or Settings().data)


@_completes
def profiles(_ctx: click.Context) -> Iterable[str]:
    """The profiles of ``trademl alpha``."""
    from optimize.profiles import profile_names

    return profile_names()


@_completes
def training_profiles(_ctx: click.Context) -> Iterable[str]:
    """The profiles of ``trademl train``."""
    from models_ml.profile import profile_names

    return profile_names()


@_completes
def models(_ctx: click.Context) -> Iterable[str]:
    """The models that can be trained."""
    from models_ml.profile import model_names

    return model_names()


@_completes
def model_ids(ctx: click.Context) -> Iterable[str]:
    """The trained models of the profile on the line."""
    from models_ml.registry import folders
    from optimize.profiles import load_profile

    name = load_profile(str(ctx.params["profile_name"])).model.name
    return folders.model_ids(_data_dir(ctx), name) if name else ()


@_completes
def environments(_ctx: click.Context) -> Iterable[str]:
    """The environment profiles."""
    from trademl.settings import profiles

    return profiles()


@_completes
def scanners(_ctx: click.Context) -> Iterable[str]:
    """The scanners of ``trademl discover``."""
    from ingest.discovery.scanner_config import scanner_names

    return scanner_names()


@_completes
def stages(_ctx: click.Context) -> Iterable[str]:
    """The stages of the pipelines, under their present names."""
    from optimize.sleeve.stage_registry import STAGES

    return [stage.id for stage in STAGES]


@_completes
def vendors(_ctx: click.Context) -> Iterable[str]:
    """The vendors that can be asked."""
    from ingest.vendors.registry import DATASETS

    return {vendor for vendor, _ in DATASETS}


@_completes
def datasets(ctx: click.Context) -> Iterable[str]:
    """The datasets of the vendor on the line, of all vendors where it names none yet."""
    from ingest.vendors.registry import DATASETS

    vendor = ctx.params.get("vendor")
    return {name for of, name in DATASETS if vendor in (None, of)}


@_completes
def audited_tables(_ctx: click.Context) -> Iterable[str]:
    """The tables that are audited."""
    from ingest.node.planning.audit import TABLES

    return TABLES


@_completes
def versions(ctx: click.Context) -> Iterable[str]:
    """The published versions."""
    from trademl.lake.versions import list_versions

    return [version.name for version in list_versions(_data_dir(ctx))]


@_completes
def runs(ctx: click.Context) -> Iterable[str]:
    """The runs there are."""
    from trademl.runs.workspace import run_ids

    return run_ids(_data_dir(ctx))


@_completes
def exports(ctx: click.Context) -> Iterable[str]:
    """The runs whose candidates were discovered."""
    return [path.name for path in (_data_dir(ctx) / "export").glob("[!.]*") if path.is_dir()]

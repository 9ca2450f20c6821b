"""Setup of a data node in repeatable steps, and the answers they were given."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import msgspec
from dotenv import dotenv_values

from ingest.catalog.capabilities import Registry
from ingest.control.clock import NodeClock
from ingest.control.database import Control, control_path
from ingest.control.queue import Queue
from ingest.control.tasks import chunks
from ingest.node.stage_file import (
    Stage,
    read_rules,
    read_stage,
    stage_of,
    stage_path,
    tasks_for,
    write_stage,
)
from ingest.node.stages.missing_history import MissingHistory, find_missing_history, settled
from ingest.vendors.alpaca.datasets import tradable_equities
from trademl.env_file import patch_env
from trademl.errors import ConfigError, DataError
from trademl.files import write_atomic

ENVIRONMENT, CONTROL, STAGE, SEED = STEPS = ("environment", "control", "stage", "seed")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the person who sets a node up decided; keys are not among it.

    Attributes:
        node_id: Names the node in leases and logs.
        profile: The environment profile.
        max_inflight: Requests at once at vendors without a number of their own.
        maintenance_time: HH:MM, local to ``timezone``.
        timezone: The node's time zone.
        symbols: The symbols of Stage 0, none to take them from the landed listing.
    """

    node_id: str
    profile: str
    max_inflight: int
    maintenance_time: str
    timezone: str
    symbols: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """How far a set-up came; it lies with the data, so that it moves with the disk.

    Attributes:
        answers: What was decided.
        done: The steps that are done.
    """

    answers: Answers
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """One run of the set-up.

    Attributes:
        data_dir: The storage root, absolute.
        env_file: The ``.env`` file.
        answers: What was decided.
        keys: Variables that hold keys, and their values.
        registry: What vendors serve.
        clock: The node's clock.
    """

    data_dir: Path
    env_file: Path
    answers: Answers
    keys: Mapping[str, str]
    registry: Registry
    clock: NodeClock


def state_path(data_dir: Path) -> Path:
    """Where the state of a data directory's set-up is."""
    return data_dir / "control" / "setup.json"


def read_state(data_dir: Path) -> State | None:
    """How far the set-up of a data directory came, none where there was none.

    Raises:
        ConfigError: The file is not as declared.
    """
    path = state_path(data_dir)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not the state of a set-up: {error}; remove it") from error


def run_setup(setup: Setup) -> Iterator[str]:
    """Does what is not done yet, and tells of each step what it found or did, one line each.

    The state is written after each step: killed at any moment, the next run goes on from there.
    Every step looks at what is there, so that a lost file is made again.

    Raises:
        ConfigError: No symbols for the stage, or others than those it already has.
        DataError: The storage root cannot be written.
    """
    steps: dict[str, Callable[[Setup], str]] = {
        ENVIRONMENT: _environment,
        CONTROL: _control,
        STAGE: _stage,
        SEED: _seed,
    }
    state = State(setup.answers)
    _remember(setup.data_dir, state)
    for name in STEPS:
        line = steps[name](setup)
        state = replace(state, done=(*state.done, name))
        _remember(setup.data_dir, state)
        yield f"{name}: {line}"


def preview(setup: Setup) -> Iterator[str]:
    """What ``run_setup`` would do, one line per step; writes nothing.

    Raises:
        ConfigError: As ``run_setup``.
    """
    before = dotenv_values(setup.env_file)
    names = [name for name, value in _values(setup).items() if before.get(name) != value]
    yield f"{ENVIRONMENT}: would set in {setup.env_file}: {', '.join(names) or 'nothing'}"
    control = control_path(setup.data_dir)
    yield f"{CONTROL}: {'there is' if control.exists() else 'would make'} {control}"
    stage = _stage_for(setup)
    exists = stage_path(setup.data_dir).exists()
    yield f"{STAGE}: {'there is' if exists else 'would write'} {_stage_summary(setup, stage)}"
    tasks = sum(
        sum(1 for _ in chunks(work.start, work.end, setup.registry.max_days(work.dataset)))
        for history in _unlanded(setup)
        for work in history.windows
    )
    yield f"{SEED}: up to {tasks} BOOTSTRAP tasks, where they are not queued yet"


def _environment(setup: Setup) -> str:
    changed = patch_env(setup.env_file, _values(setup))
    outcome = f"set {', '.join(changed)}" if changed else "nothing to change"
    return f"{setup.env_file}: {outcome}"


def _control(setup: Setup) -> str:
    path = control_path(setup.data_dir)
    outcome = "there is" if path.exists() else "made"
    with Control(path, setup.clock):
        return f"{outcome} {path}"


def _stage(setup: Setup) -> str:
    exists = read_stage(setup.data_dir) is not None
    stage = _stage_for(setup)
    if not exists:
        write_stage(setup.data_dir, stage)
    return f"{'there is' if exists else 'wrote'} {_stage_summary(setup, stage)}"


def _seed(setup: Setup) -> str:
    """Queues what of the stage is neither landed nor in line, also what failed.

    All of it is added in one transaction, so that there is all of it or nothing.
    """
    missing = _unlanded(setup)
    with Control(control_path(setup.data_dir), setup.clock) as control:
        queue = Queue(control, setup.registry)
        made = queue.add((work for history in missing for work in history.windows), retry=True)
        waiting = queue.counts().get(("BOOTSTRAP", "PENDING"), 0)
    return f"queued {made} BOOTSTRAP tasks, {waiting} are waiting" + "".join(
        f"; no vendor serves {history.dataset} before {history.served_from}"
        for history in missing
        if history.served_from
    )


def _unlanded(setup: Setup) -> tuple[MissingHistory, ...]:
    registry, stage = setup.registry, _stage_for(setup)
    today = _today(setup)
    return find_missing_history(
        setup.data_dir, registry, registry.vendors, tasks_for(stage), today, settled(today)
    )


def _stage_for(setup: Setup) -> Stage:
    """The stage there is, else Stage 0 as the answers say."""
    stage, symbols = read_stage(setup.data_dir), setup.answers.symbols
    if stage is None:
        rule = read_rules()[0]
        chosen = symbols or _first_listed(setup.data_dir, rule.symbols)
        return stage_of(0, rule, chosen, _today(setup))
    if symbols and stage.stage == 0 and set(symbols) != set(stage.symbols):
        raise ConfigError(
            f"{stage_path(setup.data_dir)} holds {len(stage.symbols)} other symbols than the "
            f"{len(set(symbols))} given; leave them away, or remove that file to begin anew"
        )
    return stage


def _first_listed(data_dir: Path, count: int) -> Sequence[str]:
    try:
        return tradable_equities(data_dir)[:count]
    except DataError as error:
        raise ConfigError(
            "no symbols for Stage 0: give --symbols or --symbols-file, or land a listing with "
            "`trademl ingest run --vendor alpaca --dataset assets`; then go on with --resume"
        ) from error


def _stage_summary(setup: Setup, stage: Stage) -> str:
    windows = ", ".join(f"{dataset} from {start}" for dataset, start in stage.starts.items())
    count = len(stage.symbols)
    return f"{stage_path(setup.data_dir)}: stage {stage.stage}, {count} symbols, {windows}"


def _today(setup: Setup) -> date:
    return setup.clock.read().wall.date()


def _values(setup: Setup) -> dict[str, str]:
    """What .env is to hold; a path there that means the storage root stays as it is written."""
    answers = setup.answers
    path = dotenv_values(setup.env_file).get("TRADEML_DATA")
    is_same = bool(path) and Path(str(path)).absolute() == setup.data_dir
    values = {
        "TRADEML_DATA": str(setup.data_dir),
        "TRADEML_ENV": answers.profile,
        "EDGE_NODE_ID": answers.node_id,
        "NODE_MAX_INFLIGHT_DEFAULT": str(answers.max_inflight),
        "TRADEML_MAINTENANCE_TIME": answers.maintenance_time,
        "TRADEML_TIMEZONE": answers.timezone,
        **setup.keys,
    }
    return {**values, "TRADEML_DATA": str(path)} if is_same else values


def _remember(data_dir: Path, state: State) -> None:
    path = state_path(data_dir)
    try:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(state)) + b"\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error

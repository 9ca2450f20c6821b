"""The trial log: every configuration tried, in MLflow's SQLite store under the data directory."""

import contextlib
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models_ml.profile import Parameter
from trademl.errors import DataError

STORE = "mlflow.db"


@contextlib.contextmanager
def _using_mlflow() -> Iterator[None]:
    """Keeps the warnings of MLflow's dependencies away, and says in one line what its store says.

    MLflow takes seconds to import, so only who logs something imports it.
    """
    # Read by mlflow at import, from the environment alone: without it, it tries to call home.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            raise _unusable(str(error)) from error


def _check_store(path: Path) -> None:
    """MLflow itself would try for two minutes to open what is not a database."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as store:
            store.execute("pragma schema_version")
    except (OSError, sqlite3.Error) as error:
        raise _unusable(str(error)) from error


def _unusable(reason: str) -> DataError:
    return DataError(
        f"the trials cannot be logged in models/{STORE}: {reason.splitlines()[0]}; free or unlock "
        "the data directory and train again"
    )


class TrialLog:
    """One model's experiment.

    MLflow's ids and times are its own: they stay in the store and out of every file that is
    compared.
    """

    def __init__(self, models_dir: Path, model: str) -> None:
        """Opens the store, making it and the experiment when they are not there.

        Args:
            models_dir: Folder of the store.
            model: The experiment's name.
        """
        _check_store(models_dir / STORE)
        with _using_mlflow():
            from mlflow.tracking import MlflowClient

            self._client: Any = MlflowClient(tracking_uri=f"sqlite:///{models_dir / STORE}")
            experiment = self._client.get_experiment_by_name(model)
            # A scheme rather than a path: the data directory may move to another machine.
            location = f"mlflow-artifacts:/{model}"
            self._experiment: str = (
                experiment.experiment_id
                if experiment
                else self._client.create_experiment(model, artifact_location=location)
            )

    def log(
        self,
        name: str,
        kind: str,
        params: Mapping[str, Parameter],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> None:
        """Logs one finished run.

        Args:
            name: Shown in MLflow.
            kind: ``trial``, ``control`` or ``chosen``.
            params: What was set.
            metrics: What came out; values that are not finite are left out.
            tags: Anything else to search by.
        """
        with _using_mlflow():
            from mlflow.entities import Metric, Param

            labels = {**tags, "kind": kind}
            run = self._client.create_run(self._experiment, run_name=name, tags=labels).info.run_id
            values = [Metric(k, v, 0, 0) for k, v in metrics.items() if abs(v) < float("inf")]
            self._client.log_batch(run, values, [Param(k, str(v)) for k, v in params.items()])
            self._client.set_terminated(run)

    def count_configurations(self) -> int:
        """How many different configurations this experiment ever tried: DSR's N."""
        configurations: set[str] = set()
        token: str | None = None
        with _using_mlflow():
            while True:
                page = self._client.search_runs(
                    [self._experiment], "tags.kind = 'trial'", page_token=token
                )
                configurations |= {run.data.tags["configuration"] for run in page}
                token = page.token
                if not token:
                    return len(configurations)

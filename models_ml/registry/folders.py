"""Where trained models lie: ``<data>/models/<name>/<model_id>/``. Imports nothing heavy."""

from pathlib import Path

LATEST = "LATEST"


def models_dir(data_dir: Path) -> Path:
    """The folder of all models, and of the MLflow store."""
    return data_dir / "models"


def model_dir(data_dir: Path, name: str, model_id: str) -> Path:
    """The folder of one trained model."""
    return models_dir(data_dir) / name / model_id


def model_ids(data_dir: Path, name: str) -> list[str]:
    """The ids of a model's trainings, in order; a temporary folder's name begins with a dot."""
    found = (models_dir(data_dir) / name).glob("[!.]*")
    return sorted(path.name for path in found if path.is_dir())

"""Logs: one JSON line per event, UTC, in ``logs/trademl.jsonl``, secrets struck out."""

import logging
import re
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

SECRET_NAMES = re.compile(r"key|secret|token|password|authorization|signature", re.IGNORECASE)
SECRET_PARAMETERS = re.compile(
    r"(?i)\b([\w-]*(?:key|secret|token|password|signature)[\w-]*)(=|%3D|['\"]?\s*:\s*['\"]?)[^\s&'\",}]+"
)
STRUCK = "***"


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: secrets, by their name or inside texts, become ``***``."""
    return _clean_table(event)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_PARAMETERS.sub(rf"\1\2{STRUCK}", value)
    if isinstance(value, dict):
        return _clean_table(value)
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _clean_table(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: STRUCK if SECRET_NAMES.search(str(name)) else _clean(value)
        for name, value in table.items()
    }


class _LogFile:
    """Appends to a file that is there only once something was said; nowhere if it is read-only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """A read-only data directory has its own error message; the log must not hide it."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)

    def flush(self) -> None:
        """Every text was written when it was said."""


def log_to(data_dir: Path) -> None:
    """Sends every event of this process to the data directory's log."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.JSONRenderer(sort_keys=True, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(
            file=cast("TextIO", _LogFile(data_dir.absolute() / "logs" / "trademl.jsonl"))
        ),
    )

"""JSON log lines with the request's id, secrets masked."""

import logging
import re
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"authorization|cookie|token|password|secret|passphrase|credential|api_?key", re.IGNORECASE)
SECRET_TEXT = re.compile(r"(?i)\b(bearer\s+|(?:t|token|access|refresh|password|ticket)=)[^\s&\"']+")


def mask_secrets(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Mask the values of fields with a secret's name, and tokens inside any text."""
    for name, value in event.items():
        if SECRET_NAMES.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = SECRET_TEXT.sub(r"\1***", value)
    return event


PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    mask_secrets,
]

structlog.configure(
    processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def json_formatter() -> logging.Formatter:
    """One JSON object a line for our own and foreign loggers alike."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *PROCESSORS],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )

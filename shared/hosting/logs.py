"""Where log lines go and how they look: each with the call, the trace and the service that it belongs to.

What is logged is chosen by who logs it, and no secret is; a password in an address or a bearer token that slips into a
text all the same is hidden here.
"""
from __future__ import annotations

import json
import logging
import sys

from shared.hosting.settings import Config
from shared.kernel import clock
from shared.kernel.secrets import without_secrets
from shared.kernel.trace import UNDER_WAY

QUIET = ("nameko", "kombu", "amqp", "urllib3", "alembic", "edgemere.bytes")
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127) if chr(number) not in "\n\t"}


def writable(text: str) -> str:
    """A text as it may be written: secrets hidden, control characters spelled out."""
    return without_secrets(text).translate(_CONTROL)


class JsonLines(logging.Formatter):
    """A line of JSON for each record: time, level, logger, message, and what the thread works on."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": clock.stamp(), "level": record.levelname.lower(), "logger": record.name,
                **{key: value for key, value in UNDER_WAY.get().items() if value}, "message": writable(record.getMessage())}
        if record.exc_info:
            line["traceback"] = writable(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """A line for people; newlines in a message are spelled out, so that none can pass for another line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = writable(record.message).replace("\n", "\\n")
        call = UNDER_WAY.get().get("correlation_id")
        return super().formatMessage(record) + (f"  [{call}]" if call else "")

    def formatException(self, ei: object) -> str:  # noqa: N802
        return writable(super().formatException(ei))


def set_up_logging(config: Config) -> None:
    """Log to standard error, as text on a terminal and as JSON elsewhere unless told otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    as_text = config.log.format == "text" or (config.log.format == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextLines() if as_text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log.level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A refusal that was foreseen is an answer, not an incident; Nameko would log each with a traceback.
    logging.getLogger("nameko.containers").setLevel(logging.ERROR)

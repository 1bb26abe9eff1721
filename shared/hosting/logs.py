"""Where log lines go and how they look. Secrets never reach a line: what is logged is chosen by who logs it."""
from __future__ import annotations

import json
import logging
import sys

from shared.hosting.settings import Config
from shared.kernel import clock

QUIET = ("nameko", "kombu", "amqp", "urllib3", "alembic", "edgemere.bytes")


class JsonLines(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": clock.stamp(), "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(config: Config) -> None:
    """Log to standard error, as text on a terminal and as JSON elsewhere unless told otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    as_text = config.log.format == "text" or (config.log.format == "auto" and sys.stderr.isatty())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s") if as_text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log.level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A refusal that was foreseen is an answer, not an incident; Nameko would log each with a traceback.
    logging.getLogger("nameko.containers").setLevel(logging.ERROR)

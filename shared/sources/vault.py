"""Secrets by name: resolved where a source is opened, in a worker process, and nowhere else.

``{"secret": "LAB_KEY"}`` is the environment variable ``EDGEMERE_SECRET_LAB_KEY``, or the file ``LAB_KEY`` in the folder that
``EDGEMERE_SECRETS`` names (``/run/secrets`` otherwise). ``"${NAME}"`` and ``"${env:NAME}"`` are the variable ``NAME``, where the policy
allows that name. Values are in no error and no log.
"""
from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping
from typing import Any

from shared.kernel.errors import Denied, Invalid
from shared.sources.port import SourcePolicy

PREFIX = "EDGEMERE_SECRET_"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_VARIABLE = re.compile(r"\$\{(?:env:|ENV:)?([A-Za-z_][A-Za-z0-9_]*)\}")
MOST_BYTES = 64 * 1024


def resolved(value: Any, policy: SourcePolicy) -> Any:
    """A copy of parameters with every reference to a secret replaced by the secret.

    Raises:
        Invalid: ``source.secret_missing``, with its name.
        Denied: ``source.secret_not_allowed``: a variable that sources may not read.
    """
    if isinstance(value, Mapping):
        if set(value) == {"secret"} and isinstance(value["secret"], str) and not _VARIABLE.fullmatch(value["secret"]):
            return _named(value["secret"])
        return {key: resolved(item, policy) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, policy) for item in value]
    if isinstance(value, str) and (found := _VARIABLE.fullmatch(value)):
        return _variable(found.group(1), policy)
    return value


def _named(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise _missing(name[:100])
    found = os.environ.get(PREFIX + name)
    if found is not None:
        return found
    try:
        with open(os.path.join(os.environ.get("EDGEMERE_SECRETS", "/run/secrets"), name), encoding="utf-8") as file:
            return file.read(MOST_BYTES).rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise _missing(name) from None


def _variable(name: str, policy: SourcePolicy) -> str:
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in policy.secret_variables):
        raise Denied("source.secret_not_allowed", f"Sources may not read the environment variable '{name}'.",
                     next_step=f"Name it in sources.secret_variables in the configuration, or call it {PREFIX}{name} and write "
                     f'{{"secret": "{name}"}}.')
    found = os.environ.get(name)
    if found is None:
        raise _missing(name)
    return found


def _missing(name: str) -> Invalid:
    return Invalid("source.secret_missing", f"There is no secret '{name}' where the source is read.",
                   next_step=f"Set the environment variable {PREFIX}{name} for the server, or put a file '{name}' into its folder of secrets.")

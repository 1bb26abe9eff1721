"""The first Administrator's key, made where nobody could log in yet: offline by a command, or from a secret file at the start.

Needs the database of the service ``events`` and no server; whoever can do this has the database already.
"""
from __future__ import annotations

import importlib
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from shared.hosting.compose import open_database
from shared.hosting.config import ConfigError
from shared.hosting.data_folder import DataFolder
from shared.hosting.sealing import digests_of
from shared.hosting.settings import Config

log = logging.getLogger(__name__)

SERVICE = "events"


def make(config: Config, owner: str, name: str) -> tuple[str, str]:
    """(a new key with every role for ``owner``, written into the database; when it ends); files only while no server runs on their folder.

    Raises:
        Conflict: ``apikey.name_taken``, ``data_folder.in_use``. Unavailable: the database does not answer.
    """
    with nullcontext() if config.database.url else DataFolder.open(config.data_dir):
        database = open_database(config, SERVICE)
        try:
            row, key = _identities().bootstrap(database, owner, config.auth.bootstrap_lifetime_s, name=name, digests=digests_of(config))
        finally:
            database.close()
    return key, row["expires_at"]


def fresh() -> str:
    """A key that is written down nowhere: for the secret file that ``auth.bootstrap_key_file`` names."""
    return _identities().fresh_key()


def take_from_file(config: Config, database: Any) -> None:
    """Take the key in ``auth.bootstrap_key_file``, unless it is known: one that was revoked since is not taken again.

    Raises:
        ConfigError: the file cannot be read, or holds no key.
    """
    place = config.auth.bootstrap_key_file
    if not place:
        return
    try:
        key = Path(place).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(detail=f"auth.bootstrap_key_file: {place} cannot be read: {error}.",
                          next_step="Make it with: edgemere apikey new > FILE, readable by the server alone.") from None
    made = _identities().bootstrap(database, config.auth.bootstrap_owner, config.auth.bootstrap_lifetime_s, key,
                                   digests=digests_of(config))
    if made is not None:
        log.info("the key %s of '%s' was taken from the bootstrap file, and works until %s", made[0]["id"], made[0]["owner"], made[0]["expires_at"])


def _identities() -> Any:
    return importlib.import_module(f"services.{SERVICE}.identities")

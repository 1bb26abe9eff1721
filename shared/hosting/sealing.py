"""The secret with which the processes of one mesh know each other: from the settings, else kept in the data folder."""
from __future__ import annotations

import os
from pathlib import Path

from shared.bus.seal import LEAST_BYTES, Seal
from shared.hosting.settings import Config
from shared.kernel.digests import Digests
from shared.kernel.errors import Invalid

FILE = "mesh.secret"
BYTES = 32


def seal_of(config: Config) -> Seal:
    """The seal of the mesh that these settings are of.

    Without a secret in the settings the data folder has one, made when it is first needed, which those processes share that share
    the folder. In production a secret has to be given: its processes share no folder.

    Raises:
        Invalid: ``mesh.secret_missing`` or ``mesh.secret_short``; the secret is in no part of it.
    """
    bus = config.bus
    owner = bus.foreign.owner or config.owner.default
    secret = _checked(_given(bus.secret, bus.secret_file), "secret")
    also = tuple(filter(None, [_checked(_given(bus.also_secret, bus.also_secret_file), "also_secret")]))
    if secret:
        return Seal(secret, owner, bus.foreign.roles, also=also, digests=digests_of(config))
    if config.environment == "prod" and not config.broker.uri.startswith("embedded"):
        raise Invalid("mesh.secret_missing", "The processes of a mesh in production need a secret by which they know each other.",
                      next_step="Give all of them the same EDGEMERE_MESH_SECRET, or a file with it: EDGEMERE_MESH_SECRET_FILE.")
    file = Path(config.data_dir) / FILE
    # A folder with a broker and no secret is of a release that did not seal: what waits there is ours.
    of_old = config.broker.uri.startswith("embedded") and not file.exists() and any(Path(config.data_dir).glob("broker.db"))
    return Seal(_kept(file), owner, bus.foreign.roles, trusts=of_old, also=also, digests=digests_of(config))


def digests_of(config: Config) -> Digests:
    """What the settings say of digests."""
    return Digests(config.digests.made_with, config.digests.believed)


def _checked(secret: bytes, name: str) -> bytes:
    if secret and len(secret) < LEAST_BYTES:
        raise Invalid("mesh.secret_short", f"The secret of the mesh (bus.{name}) has fewer than {LEAST_BYTES} characters.",
                      next_step="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'")
    return secret


def _given(secret: str, file: str) -> bytes:
    if secret or not file:
        return secret.strip().encode()
    try:
        return Path(file).read_bytes().strip()
    except OSError as error:
        raise Invalid("mesh.secret_missing", f"The file '{file}' with the secret of the mesh cannot be read: {error.strerror}.",
                      next_step="Name a file that the process may read, or give EDGEMERE_MESH_SECRET.") from None


def _kept(file: Path) -> bytes:
    """The secret in a file, made where there is none; of several processes that make one, one is first."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            # Whole under another name first: nobody may read half of it.
            own = file.with_name(f"{FILE}.{os.getpid()}")
            descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as opened:
                opened.write(os.urandom(BYTES).hex())
            try:
                os.link(own, file)
            except FileExistsError:
                pass
            finally:
                os.unlink(own)
        return file.read_text(encoding="ascii").strip().encode()
    except OSError as error:
        raise Invalid("data_folder.unusable", f"The secret of the mesh cannot be kept in {file.parent}: {error.strerror}.",
                      next_step="Give EDGEMERE_MESH_SECRET, or name another folder with --data.") from error

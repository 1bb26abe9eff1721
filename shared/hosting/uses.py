"""What the composition root hands to a service's handlers. Knows no Nameko."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.context import Context
from shared.storage.database import Database


@dataclass
class Uses:
    """What handlers stand on: the database, the other services, the settings, and for whom they work.

    ``mesh.call(service, method, **parameters)`` asks another service in this context. ``parts`` holds what only
    this service has (worker pools, policies), by name. ``retention`` forgets what is old, a stretch at each call.
    """

    service: str
    db: Database
    config: Any
    context: Context = field(default_factory=Context)
    mesh: Any = None
    parts: Mapping[str, Any] = field(default_factory=dict)
    retention: Any = None

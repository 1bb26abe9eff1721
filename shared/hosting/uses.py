"""What the composition root hands to a service's handlers. Knows no Nameko."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.kernel.clock import stamp
from shared.kernel.context import Context
from shared.kernel.trace import NO_TRACER, Tracer
from shared.storage.database import Database


@dataclass
class Uses:
    """What handlers stand on: the database, the other services, the settings, and for whom they work.

    ``mesh.call(service, method, **parameters)`` asks another service in this context. ``parts`` holds what only
    this service has (worker pools, policies), by name. ``retention`` forgets what is old, a stretch at each call;
    ``vitals`` is how the process is, ``figures`` what it counts, ``tracer`` makes its spans. ``began`` is the stamp of the
    service's start.
    """

    service: str
    db: Database
    config: Any
    context: Context = field(default_factory=Context)
    mesh: Any = None
    parts: Mapping[str, Any] = field(default_factory=dict)
    retention: Any = None
    vitals: Any = None
    figures: Any = None
    began: str = field(default_factory=stamp)
    tracer: Tracer = NO_TRACER

    def caused_by(self, message: Any) -> Uses:
        """The same for what one message causes, of several that are handled at once (see ``shared.hosting.gathering``)."""
        if self.context.causation_id and self.context.causation_id == message.context.get("causation_id"):
            # It came alone, so that all of this is for it.
            return self
        return replace(self, context=self.context.having(**message.context), mesh=self.mesh.having(**message.context))

    def for_several(self) -> Uses:
        """The same for what is done for several callers at once, which is the mesh's own work."""
        context = Context(mesh=True)
        return replace(self, context=context, mesh=self.mesh.having(**vars(context)))

    @property
    def itself(self) -> Any:
        """``mesh`` for what the service has to know for its own work, whoever set it going: whose an object is does not matter then."""
        return self.mesh.having(mesh=True)

    def for_owner(self, request: Mapping[str, Any]) -> Any:
        """``mesh`` with the rights with which the owner of a request (as ``requests.plain`` answers it) asked, whoever moves it on."""
        return self.mesh.having(owner=request["owner"], roles=tuple(request.get("owner_roles") or ()), mesh=False)

    def caught(self, what: str, count: int = 1) -> None:
        """Count what a sweeper took up that was quiet for too long or left by a crash; at /metrics as ``edgemere_sweeper_caught``."""
        if count and self.figures is not None:
            self.figures.caught(self.service, what, count)

    def health(self, more: Callable[[Uses], Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """What the RPC ``health`` answers, at once: what was seen a moment ago; and ``more``, where all is well."""
        ready, answer = self.vitals.ready()
        return {**answer, **more(self)} if ready and more else answer

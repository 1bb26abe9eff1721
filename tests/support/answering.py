"""Services as plain functions, for tests of a face alone: the port that a face asks, with answers of the test's choosing."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from shared.kernel.context import Context
from shared.kernel.errors import Unavailable


class Answering:
    """``call`` as the mesh has it; answers with the function given for ``service.method``.

    A service method without a function is one that nobody runs: ``unavailable``. ``calls`` lists what was asked.
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.functions = {name.replace("__", "."): function for name, function in functions.items()}
        self.calls: list[tuple[str, dict[str, Any], Context]] = []

    def call(self, service: str, method: str, *, timeout_s: float = 10, context: Context = Context(), **parameters: Any) -> Any:
        name = f"{service}.{method}"
        self.calls.append((name, parameters, context))
        function = self.functions.get(name)
        if function is None:
            raise Unavailable("unavailable", f"Nobody answers {name}.")
        return function(**parameters)

    def having(self, **changes: Any) -> Answering:
        """The same: whose work it is changes no answer."""
        return self

    def asked(self, name: str) -> list[dict[str, Any]]:
        return [parameters for asked, parameters, _ in self.calls if asked == name]


class EventLog:
    """A small event log with the two methods that the gateway reads: ``list`` and ``head``."""

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def append(self, event: str, **obj: Any) -> int:
        with self._lock:
            sequence = len(self._items) + 1
            self._items.append({"sequence": sequence, "event": event, "id": f"evnt_{sequence}", "obj": obj})
            return sequence

    def list(self, after: int = 0, limit: int = 50, event: str | None = None, object: str | None = None,
             sort: str = "sequence") -> dict[str, Any]:
        wanted = [item for item in self._items if item["sequence"] > after
                  and (event is None or item["event"].startswith(event.rstrip("*")))
                  and (object is None or object in (item["obj"].get("id"), item["obj"].get("name")))]
        return {"items": wanted[:limit], "next": "more" if len(wanted) > limit else None, "total": len(wanted)}

    def head(self) -> dict[str, int]:
        return {"last_sequence": len(self._items)}

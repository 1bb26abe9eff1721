"""Whether the mesh behind the gateway answers. Asks all services at once, and not more often than once a second."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from gateway.settings import Settings
from shared.contracts.table import ACTIONS
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError

_KEEP_S = 1.0


class Health:
    """Readiness of the services that the gateway needs."""

    def __init__(self, mesh: Any, settings: Settings, own: Callable[[], tuple[bool, dict[str, Any]]] | None = None) -> None:
        """``own`` tells how the gateway's own process is, as the services tell it of theirs."""
        self._mesh, self._settings, self._own = mesh, settings, own
        self._services = settings.services or tuple(dict.fromkeys(row.service for row in ACTIONS.values()))
        self._context = Context(mesh=True)
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._answer: dict[str, Any] = {}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """(ready, {"ok", "services": {name: {"ok", …, "detail"?}}, "detail"?}); at most a second old."""
        came = time.monotonic()
        with self._lock:
            # Whoever waited for another's answer takes it: nobody waits for more than two rounds.
            if self._asked_at < came - (_KEEP_S if self._answer.get("ok") else 0):
                began = time.monotonic()
                self._answer = self._ask_all()
                self._asked_at = began
            return self._answer["ok"], self._answer

    def _ask_all(self) -> dict[str, Any]:
        good, own = self._own() if self._own else (True, {})
        broker = own.get("parts", {}).get("broker", {})
        if broker.get("detail"):
            # Without the broker nobody can be asked, and each would only be waited for.
            return {"ok": False, "services": {own["service"]: own}, "detail": f"Not ready: {broker['detail']}"}
        found: dict[str, dict[str, Any]] = {}
        askers = [threading.Thread(target=self._ask, args=(name, found), daemon=True) for name in self._services]
        for asker in askers:
            asker.start()
        end = time.monotonic() + self._settings.health_timeout_s + 0.5
        for asker in askers:
            asker.join(max(0.0, end - time.monotonic()))
        services = {name: found.get(name, {"ok": False, "detail": "It does not answer."}) for name in self._services}
        if not good:
            services[own["service"]] = own
        wrong = [name for name, state in services.items() if not state.get("ok")]
        answer: dict[str, Any] = {"ok": not wrong, "services": services}
        if wrong:
            why = dict.fromkeys(str(services[name].get("detail", "")) for name in wrong)
            answer["detail"] = f"Not ready: {', '.join(wrong)}. {' '.join(filter(None, why))}".strip()
        return answer

    def _ask(self, name: str, found: dict[str, dict[str, Any]]) -> None:
        try:
            answer = self._mesh.call(name, "health", timeout_s=self._settings.health_timeout_s, context=self._context)
            found[name] = answer if isinstance(answer, dict) else {"ok": False, "detail": "It answers nonsense."}
        except EdgemereError as error:
            found[name] = {"ok": False, "code": error.code, "detail": error.detail}

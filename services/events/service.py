"""The service ``events``: the event log, dead letters, and operations."""
from __future__ import annotations

from services.events import dead, handlers, log, operations
from shared.bus.topology import DEAD_QUEUE
from shared.hosting.entrypoints import batch_event, rpc
from shared.hosting.serving import UsesProvider, action
from shared.hosting.timers import timer


class Events:
    name = "events"
    uses = UsesProvider()
    replays = {"event": handlers.sent, "deadletter": dead.replayed, "operation": operations.show}

    # --- the event log
    @action
    def list(self, parameters):
        return handlers.find(self.uses, parameters)

    @action
    def stream(self, parameters):
        # Following is the gateway's; a caller of this gets what there is now.
        return handlers.find(self.uses, parameters)

    @action
    def send(self, parameters):
        return handlers.send(self.uses, parameters)

    @rpc
    def head(self):
        return handlers.head(self.uses)

    @rpc
    def named(self, ids):
        return handlers.named(self.uses, ids)

    # --- dead letters
    @action
    def dead_list(self, parameters):
        return dead.find(self.uses, parameters, must_exist=False)

    @action
    def dead_replay(self, parameters):
        return dead.replay(self.uses, parameters)

    # --- operations
    @action
    def operation_list(self, parameters):
        return operations.find(self.uses, parameters)

    @action
    def operation_show(self, parameters):
        return operations.show(self.uses, parameters)

    @action
    def operation_cancel(self, parameters):
        return operations.cancel(self.uses, parameters)

    @rpc
    def health(self):
        return self.uses.health(handlers.health)

    @batch_event("edgemere", ["#"], queue=handlers.QUEUE, raw=True)
    def logged(self, messages):
        log.append(self.uses, messages)

    @batch_event(queue=DEAD_QUEUE, raw=True)
    def died(self, messages):
        dead.keep(self.uses, messages)

    @timer(interval=60)
    def sweep(self):
        log.forget(self.uses)
        self.uses.retention.sweep()

"""The service ``events``: the event log, dead letters, operations, keys, and the audit log."""
from __future__ import annotations

from services.events import auditing, dead, handlers, identities, log, operations, persons
from shared.bus.topology import DEAD_QUEUE
from shared.hosting.entrypoints import batch_event, rpc
from shared.hosting.serving import UsesProvider, action
from shared.hosting.timers import timer


class Events:
    name = "events"
    uses = UsesProvider()
    replays = {"event": handlers.sent, "deadletter": dead.replayed, "operation": operations.show,
               **identities.REPLAYS}

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

    # --- keys, and who is calling
    @action
    def apikey_create(self, parameters):
        return identities.create(self.uses, parameters)

    @action
    def apikey_list(self, parameters):
        return identities.find(self.uses, parameters)

    @action
    def apikey_show(self, parameters):
        return identities.show(self.uses, parameters)

    @action
    def apikey_rotate(self, parameters):
        return identities.rotate(self.uses, parameters)

    @action
    def apikey_revoke(self, parameters):
        return identities.revoke(self.uses, parameters)

    @action
    def identity_show(self, parameters):
        return identities.whoami(self.uses)

    @action
    def identity_seen(self, parameters):
        return identities.seen(self.uses, parameters)

    @rpc
    def identify(self, id, digest):
        return identities.identify(self.uses, id, digest)

    @rpc
    def session_open(self, lifetime_s, until=None):
        return identities.open_session(self.uses, lifetime_s, until)

    @rpc
    def session_close(self):
        return identities.close_session(self.uses)

    # --- persons
    @action
    def person_show(self, parameters):
        return persons.show(self.uses, parameters)

    @action
    def person_export(self, parameters):
        return persons.export(self.uses, parameters)

    @action
    def person_remove(self, parameters):
        return persons.remove(self.uses, parameters)

    # --- the audit log
    @action
    def audit_list(self, parameters):
        return auditing.find(self.uses, parameters)

    @action
    def audit_verify(self, parameters):
        return auditing.verify(self.uses, parameters)

    @rpc
    def audit_told(self, entries):
        return auditing.told(self.uses, entries)

    @rpc
    def health(self):
        return self.uses.health(handlers.health)

    @batch_event("edgemere", ["#"], queue=handlers.QUEUE, raw=True)
    def logged(self, messages):
        log.append(self.uses, messages)

    # What ends keys is heard by the gateways that are there; here it has a home, so that the relay need not wait for one.
    @batch_event("edgemere", ["audit.changed", "apikey.revoked"], queue="events.audit", internal=True)
    def audited(self, messages):
        auditing.changed(self.uses, messages)

    @batch_event(queue=DEAD_QUEUE, raw=True)
    def died(self, messages):
        dead.keep(self.uses, messages)

    @timer(interval=60)
    def sweep(self):
        log.forget(self.uses)
        identities.sweep(self.uses)
        auditing.forget(self.uses)
        self.uses.retention.sweep()

    @timer(interval=60)
    def remove_persons(self):
        persons.go_on(self.uses)

"""The service ``instances``: data made usable, and kept true to what was promised."""
from __future__ import annotations

from services.instances import breaking, findings, handlers, inventory, lifetime, models, pins, provisioning, reaper, removing, repository, undoing
from shared.hosting import persons
from shared.hosting.entrypoints import batch_event, on_event, rpc
from shared.hosting.gathering import on_events
from shared.hosting.serving import UsesProvider, action
from shared.hosting.timers import timer


class Instances:
    name = "instances"
    uses = UsesProvider()
    replays = {"datainstance": handlers.show,
               "provisioning": lambda uses, parameters: handlers.outcome(uses, parameters["id"])}

    @action
    def create(self, parameters):
        return handlers.create(self.uses, parameters)

    @action
    def destroy(self, parameters):
        return handlers.destroy(self.uses, parameters)

    @action
    def find(self, parameters):
        return handlers.find(self.uses, parameters)

    @action
    def list(self, parameters):
        return handlers.find(self.uses, parameters, must_exist=False)

    @action
    def show(self, parameters):
        return handlers.show(self.uses, parameters)

    @action
    def content(self, parameters):
        return handlers.content(self.uses, parameters)

    @action
    def retry(self, parameters):
        return handlers.retry(self.uses, parameters)

    @action
    def renew(self, parameters):
        return lifetime.renew(self.uses, parameters)

    @action
    def pin(self, parameters):
        return pins.pin(self.uses, parameters)

    @action
    def unpin(self, parameters):
        return pins.unpin(self.uses, parameters)

    @action
    def undo(self, parameters):
        return undoing.undo(self.uses, parameters)

    # --- among the services
    @rpc
    def outcome(self, request):
        return handlers.outcome(self.uses, request)

    @rpc
    def refs_of(self, request=None, reference=None):
        of = {"request": request} if request else {"reference": reference}
        with self.uses.db.reading() as connection:
            return repository.refs(connection, 1_000_000, **of)

    @rpc
    def held_by(self, owner, promised=()):
        with self.uses.db.reading() as connection:
            return repository.held_by(connection, owner, promised)

    @rpc
    def live_data(self, request):
        with self.uses.db.reading() as connection:
            return repository.live_data(connection, request)

    @rpc
    def gone_data(self, gone, after, limit):
        with self.uses.db.reading() as connection:
            return repository.gone_data(connection, gone, after, limit)

    @rpc
    def kept_data(self, request, all_live=False):
        with self.uses.db.reading() as connection:
            return repository.kept_data(connection, request, all_live)

    @rpc
    def pinned_of(self, request):
        return pins.refs_of(self.uses, request)

    @rpc
    def checksums_of(self, request):
        with self.uses.db.reading() as connection:
            return repository.checksums_of(connection, request)

    @rpc
    def bytes_of(self, request):
        with self.uses.db.reading() as connection:
            return repository.bytes_of(connection, request)

    @rpc
    def reapable(self, target, after=None):
        return reaper.candidates(self.uses, target, after)

    @rpc
    def reap(self, versions, because):
        return reaper.reap(self.uses, versions, because)

    @rpc
    def copies_known(self, target, keys):
        return inventory.copies_known(self.uses, target, keys)

    @rpc
    def copies_claimed(self, target, after, limit):
        return inventory.copies_claimed(self.uses, target, after, limit)

    @rpc
    def copies_lost(self, target, items, detail):
        return inventory.copies_lost(self.uses, target, items, detail)

    @rpc
    def remove_dark(self, target, items):
        return inventory.remove_dark(self.uses, target, items)

    @rpc
    def explain_part(self, request):
        return handlers.explain_part(self.uses, request)

    @rpc
    def waits_of(self, request):
        return findings.waits(self.uses, request)

    @rpc
    def no_fuse(self):
        return self.uses.parts["movers"].fuse.why_not()

    @rpc
    def person_held(self, person):
        return persons.held(self.uses, models, person)

    @rpc
    def person_rows(self, person, at=None, limit=100):
        return persons.rows(self.uses, models, person, at, limit)

    @rpc
    def person_forget(self, person, alias, at=None):
        return persons.forget(self.uses, models, person, alias, at)

    @rpc
    def health(self):
        return self.uses.health()

    @on_event("edgemere", "datareference.provisioning")
    def datareference_provisioning(self, message):
        handlers.on_provisioning(self.uses, message)

    @on_events("edgemere", "datarequest.evaluated")
    def datarequest_evaluated(self, messages):
        return provisioning.on_evaluated(self.uses, messages)

    @on_event("edgemere", "datarequest.failed")
    def datarequest_failed(self, message):
        removing.on_ended(self.uses, message)

    @on_event("edgemere", "datarequest.completed")
    def datarequest_completed(self, message):
        removing.on_ended(self.uses, message)

    @batch_event("edgemere", ("data.destroy", "data.updated"))
    def data_changed(self, messages):
        breaking.on_data(self.uses, messages)

    @timer(interval=2)
    def sweep(self):
        removing.sweep(self.uses)
        self.uses.retention.sweep()

    @timer(interval=1)
    def time_passes(self):
        lifetime.sweep(self.uses)

"""The service ``requests``: references, requests, and how far they have come."""
from __future__ import annotations

from services.requests import explain, handlers, making, models, plan, references, repository, standing, steps, sweeping, together
from shared.hosting import persons
from shared.hosting.entrypoints import batch_event, on_event, rpc
from shared.hosting.gathering import on_events
from shared.hosting.serving import UsesProvider, action
from shared.hosting.timers import timer


class Requests:
    name = "requests"
    uses = UsesProvider()
    replays = {"datarequest": handlers.show, "datareference": references.show}

    # --- requests
    @action
    def create(self, parameters):
        return handlers.create(self.uses, parameters)

    @action
    def fulfill(self, parameters):
        return handlers.fulfill(self.uses, parameters)

    @action
    def list(self, parameters):
        return handlers.find(self.uses, parameters, must_exist=False)

    @action
    def find(self, parameters):
        return handlers.find(self.uses, parameters)

    @action
    def show(self, parameters):
        return handlers.show(self.uses, parameters)

    @action
    def plan(self, parameters):
        return plan.plan(self.uses, parameters)

    @action
    def explain(self, parameters):
        return explain.explain(self.uses, parameters)

    @action
    def cancel(self, parameters):
        return handlers.cancel(self.uses, parameters)

    @action
    def retry(self, parameters):
        return handlers.retry(self.uses, parameters)

    @action
    def complete(self, parameters):
        return handlers.complete(self.uses, parameters)

    @action
    def destroy(self, parameters):
        return handlers.destroy(self.uses, parameters)

    @action
    def lock(self, parameters):
        return handlers.lock(self.uses, parameters)

    # --- references
    @action
    def datareference_create(self, parameters):
        return references.create(self.uses, parameters)

    @action
    def datareference_list(self, parameters):
        return references.find(self.uses, parameters, must_exist=False)

    @action
    def datareference_find(self, parameters):
        return references.find(self.uses, parameters)

    @action
    def datareference_show(self, parameters):
        return references.show(self.uses, parameters)

    @action
    def datareference_provision(self, parameters):
        return references.provision(self.uses, parameters)

    @action
    def datareference_destroy(self, parameters):
        return references.destroy(self.uses, parameters)

    # --- among the services
    @rpc
    def held_by(self, owner):
        with self.uses.db.reading() as connection:
            return {"requests": repository.open_of(connection, owner)}

    @rpc
    def plain(self, request):
        return handlers.plain(self.uses, request)

    @rpc
    def plain_all(self, requests, owners=None):
        return handlers.plain_all(self.uses, requests, owners)

    @rpc
    def show_all(self, requests):
        return handlers.show_all(self.uses, requests)

    @rpc
    def make_all(self, asks):
        return making.make_all(self.uses, asks)

    @rpc
    def advance(self, steps, show=False):
        return together.advance(self.uses, steps, show)

    @rpc
    def refused(self, told):
        return together.refused(self.uses, told)

    @rpc
    def provide(self, dataref):
        return references.provide(self.uses, dataref)

    @rpc
    def selected(self, request, attempt, reservations, refs, found):
        return steps.selected(self.uses, request, attempt, reservations, refs, found)

    @rpc
    def evaluated(self, request, attempt, confirmed, rejected, cost, ready_in_s=None):
        return steps.evaluated(self.uses, request, attempt, confirmed, rejected, cost, ready_in_s)

    @rpc
    def failed(self, request, attempt, reason, message, found=None):
        return steps.failed(self.uses, request, attempt, reason, message, found)

    @rpc
    def blocked(self, request, attempt, code, message, found=None, waits_for=None):
        return steps.blocked(self.uses, request, attempt, code, message, found, waits_for)

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

    @on_events("edgemere", "instances.settled", internal=True)
    def settled(self, messages):
        return together.on_settled(self.uses, messages)

    @on_event("edgemere", "instances.gone", internal=True)
    def gone(self, message):
        steps.on_gone(self.uses, message)

    @on_event("edgemere", "instances.counted", internal=True)
    def counted(self, message):
        steps.on_counted(self.uses, message)

    @on_event("edgemere", "capacity.freed", internal=True)
    def freed(self, message):
        steps.on_freed(self.uses, message)

    @on_event("edgemere", "budget.freed", internal=True)
    def budget_freed(self, message):
        steps.on_freed(self.uses, message)

    @on_event("edgemere", "deadletter.kept", internal=True)
    def step_died(self, message):
        steps.on_dead_letter(self.uses, message)

    @batch_event("edgemere", ("data.create", "data.updated"))
    def appeared(self, messages):
        standing.on_data(self.uses, messages)

    @timer(interval=1)
    def sweep(self):
        sweeping.sweep(self.uses)
        self.uses.retention.sweep()

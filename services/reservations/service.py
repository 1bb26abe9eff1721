"""The service ``reservations``: which data a request takes, and what is done with each."""
from __future__ import annotations

from services.reservations import (
    budget, comparing, explaining, freeing, handlers, keeping, models, planning, rehearsing, repository, standing_by, taking_back,
)
from shared.hosting import persons
from shared.hosting.entrypoints import on_event, rpc
from shared.hosting.gathering import on_events
from shared.hosting.serving import UsesProvider, action
from shared.hosting.timers import timer


class Reservations:
    name = "reservations"
    uses = UsesProvider()
    replays = {"datareservation": handlers.show,
               "datarequest": lambda uses, parameters: uses.mesh.call("requests", "show", id=parameters["id"])}

    @action
    def reserve(self, parameters):
        return handlers.reserve(self.uses, parameters)

    @action
    def evaluate(self, parameters):
        return handlers.evaluate(self.uses, parameters)

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
    def confirm(self, parameters):
        return handlers.confirm(self.uses, parameters)

    @action
    def free(self, parameters):
        return handlers.free(self.uses, parameters)

    @action
    def policy_list(self, parameters):
        return handlers.policy_list(self.uses)

    @action
    def policy_show(self, parameters):
        return handlers.policy_show(self.uses, parameters)

    @action
    def policy_test(self, parameters):
        return rehearsing.test(self.uses, parameters)

    # --- among the services
    @rpc
    def confirmed(self, request, attempt, after, limit):
        with self.uses.db.reading() as connection:
            return repository.confirmed(connection, request, attempt, after, limit)

    @rpc
    def confirmed_all(self, attempts, most):
        with self.uses.db.reading() as connection:
            return repository.confirmed_all(connection, attempts, most)

    @rpc
    def refs_of(self, request, attempt=None):
        with self.uses.db.reading() as connection:
            return repository.refs(connection, request, attempt)

    @rpc
    def take_back(self, request, attempt, data, version, instance=None):
        return taking_back.take_back(self.uses, request, attempt, data, version, instance)

    @rpc
    def give_back(self, request, attempt, data, version, instance=None):
        return taking_back.give_back(self.uses, request, attempt, data, version, instance)

    @rpc
    def standing(self, ids):
        with self.uses.db.reading() as connection:
            return repository.standing(connection, ids)

    @rpc
    def line(self, holder, owner=None):
        return budget.line(self.uses, holder, owner)

    @rpc
    def compare(self, request, family, data, checksums):
        return comparing.compare(self.uses, request, family, data, checksums)

    @rpc
    def locked(self, request, after, limit):
        return handlers.locked(self.uses, request, after, limit)

    @rpc
    def stand_in(self, request, attempt, data, reason, unlike=None):
        return standing_by.stand_in(self.uses, request, attempt, data, reason, unlike)

    @rpc
    def plan_part(self, request, after=0, limit=20):
        return planning.plan_part(self.uses, request, after, limit)

    @rpc
    def explain_part(self, request, attempt, reservation=None, after="", limit=20, owner=None):
        return explaining.explain_part(self.uses, request, attempt, reservation, after, limit, owner)

    @rpc
    def why_not(self, request, data, query, attempt):
        return explaining.why_not(self.uses, request, data, query, attempt)

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
        return self.uses.health(handlers.policy_health)

    @on_events("edgemere", "datarequest.needed")
    def datarequest_needed(self, messages):
        return handlers.on_needed(self.uses, messages)

    @on_events("edgemere", "datarequest.selected")
    def datarequest_selected(self, messages):
        return handlers.on_selected(self.uses, messages)

    @on_events("edgemere", "datarequest.satisfied")
    def datarequest_satisfied(self, messages):
        standing_by.on_satisfied(self.uses, messages)

    @on_event("edgemere", "datarequest.failed")
    def datarequest_failed(self, message):
        handlers.on_ended(self.uses, message)

    @on_event("edgemere", "datarequest.completed")
    def datarequest_completed(self, message):
        handlers.on_ended(self.uses, message)

    @on_event("edgemere", "instances.gone", internal=True)
    def gone(self, message):
        freeing.on_gone(self.uses, message)

    @on_event("edgemere", "datarequest.destroy")
    def datarequest_destroy(self, message):
        handlers.on_destroyed(self.uses, message)

    @timer(interval=5)
    def sweep(self):
        budget.forget(self.uses)
        keeping.forget(self.uses)
        self.uses.retention.sweep()

"""The service ``catalog``: sources, the data in them, what is claimed of them, and the query over it all."""
from __future__ import annotations

from services.catalog import auditing, claims as claiming, data as items, handlers, locating, models, passages, reaping, scan_views, search
from shared.hosting import persons
from shared.hosting.entrypoints import rpc
from shared.hosting.serving import UsesProvider, action
from shared.hosting.timers import timer


class Catalog:
    name = "catalog"
    uses = UsesProvider()
    replays = {"datasource": handlers.show, "data": items.show}

    @action
    def query(self, parameters):
        return search.query(self.uses, parameters)

    # --- sources
    @action
    def datasource_create(self, parameters):
        return handlers.create(self.uses, parameters)

    @action
    def datasource_simulate(self, parameters):
        return handlers.simulate(self.uses, parameters)

    @action
    def datasource_list(self, parameters):
        return handlers.find(self.uses, parameters, must_exist=False)

    @action
    def datasource_show(self, parameters):
        return handlers.show(self.uses, parameters)

    @action
    def datasource_scan(self, parameters):
        return handlers.scan(self.uses, parameters)

    @action
    def datasource_suspend(self, parameters):
        return handlers.suspend(self.uses, parameters)

    @action
    def datasource_resume(self, parameters):
        return handlers.resume(self.uses, parameters)

    @action
    def datasource_shutdown(self, parameters):
        return handlers.shutdown(self.uses, parameters)

    @action
    def datasource_destroy(self, parameters):
        return handlers.destroy(self.uses, parameters)

    @action
    def datasource_access(self, parameters):
        return handlers.access(self.uses, parameters)

    @action
    def datasource_audit(self, parameters):
        return auditing.audit(self.uses, parameters)

    @action
    def datasource_findings(self, parameters):
        return auditing.findings(self.uses, parameters)

    @action
    def datasource_reap(self, parameters):
        return reaping.reap(self.uses, parameters)

    # --- data
    @action
    def data_create(self, parameters):
        return items.create(self.uses, parameters)

    @action
    def data_list(self, parameters):
        return items.find(self.uses, parameters, must_exist=False)

    @action
    def data_find(self, parameters):
        return items.find(self.uses, parameters)

    @action
    def data_show(self, parameters):
        return items.show(self.uses, parameters)

    @action
    def data_destroy(self, parameters):
        return items.destroy(self.uses, parameters)

    # --- among the services
    @rpc
    def query_all(self, expressions, limit, rights=None):
        return search.query_all(self.uses, expressions, limit, rights)

    @rpc
    def claim_all(self, asks, ttl_s=None):
        return claiming.claim_all(self.uses, asks, ttl_s)

    @rpc
    def claim(self, claims, holder, ttl_s=None, wait=False):
        return claiming.claim(self.uses, claims, holder, ttl_s, wait)

    @rpc
    def look(self, claims, holder):
        return claiming.look(self.uses, claims, holder)

    @rpc
    def release(self, ids=None, holder=None, prefix=""):
        return claiming.release(self.uses, ids, holder, prefix)

    @rpc
    def renew(self, holder, ttl_s=None):
        return claiming.renew(self.uses, holder, ttl_s)

    @rpc
    def line(self, holder):
        return claiming.line(self.uses, holder)

    @rpc
    def relocate(self, data, source, path):
        return items.relocate(self.uses, data, source, path)

    @rpc
    def hints(self, expression, wanted=1):
        return search.hints(self.uses, expression, wanted)

    @rpc
    def relocate_all(self, moves, holder):
        return items.relocate_all(self.uses, moves, holder)

    @rpc
    def moves_ended(self, data):
        return passages.end(self.uses, data)

    @rpc
    def why_not(self, expression, data, owner=None, roles=()):
        return search.why_not(self.uses, expression, data, owner, roles)

    @rpc
    def sources(self, ids):
        return handlers.sources(self.uses, ids)

    @rpc
    def data_by_ids(self, ids, visible=False):
        return items.by_ids(self.uses, ids, visible)

    @rpc
    def identity(self):
        return locating.identity(self.uses)

    @rpc
    def locate(self, items):
        return locating.locate(self.uses, items)

    @rpc
    def holders(self, source=None, data=None):
        return handlers.holders(self.uses, source, data)

    @rpc
    def scan_show(self, id):
        return scan_views.show(self.uses, id)

    @rpc
    def scan_list(self, limit, cursor=None):
        return scan_views.page(self.uses, limit, cursor)

    @rpc
    def scan_cancel(self, id):
        return scan_views.cancel(self.uses, id)

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
        return self.uses.health(handlers.health)

    @timer(interval=2)
    def sweep(self):
        handlers.sweep(self.uses)
        reaping.sweep(self.uses)
        self.uses.retention.sweep()

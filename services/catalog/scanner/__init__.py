"""The scan worker: ``python -m services.catalog.scanner``, a clean process that looks what a source holds.

It speaks JSON lines over the socket that ``shared.hosting.workers.WorkerPool`` hands it, several jobs at once::

    scanner = WorkerPool([sys.executable, "-m", "services.catalog.scanner"], size=1, name="scanner")
    job = scanner.submit({"op": "scan", "adaptor": "file", "parameters": {…}, "policy": policy.as_json()})
    for message in job:            # a pull: the next batch is asked for when this one is dealt with
        ...

Into the worker (the pool adds ``id`` and sends ``ack`` by itself)::

    {"op": "scan", "id", "adaptor", "parameters", "policy", "known": {path: fingerprint}?}
    {"op": "ack", "id", "seq"}         the batch ``seq`` was dealt with; at most WINDOW batches are under way
    {"op": "cancel", "id"}

Out of it, per job, in this order of meaning::

    {"id", "seq": n, "entries": [entry, …]}            at most 500; entry = sources.port.Entry.as_json():
        {"path", "name", "type", "size", "media_type", "modified_at", "checksum", "tags", "uri", "fingerprint"}
        with ``known`` in the job, an entry whose fingerprint is the known one comes as {"path", "unchanged": true}
    {"id", "progress": {"files", "bytes", "folder", "elapsed_s"}}          at most two a second
    {"id", "problems": [{"path", "code", "detail"}, …]}    at most 1,000 in all; further ones are counted only
    {"id", "done": {"files", "bytes", "problems": count, "problem_codes": {code: count}, "unchanged", "elapsed_s",
                    "cancelled": bool}}                     always the last, or else
    {"id", "failed": {error payload}}                       ``source.bad_listing``, ``source.rootdir_missing``,
        ``source.rootdir_unreadable``, ``source.rootdir_not_allowed``, ``source.bad_parameters``, ``worker.died``…

**Vanished** items are the service's to find: what it knows of the source and did not see in a scan that ended in
``done`` with ``cancelled: false``. An item below an unreadable folder (``source.unreadable`` with that folder's path,
which ends in ``/``) is not seen, and did not vanish. The comparison needs no row's content: keep ``fingerprint`` in the row; an
entry with the same fingerprint is unchanged in everything that it carries.

The worker writes nothing, anywhere. A scan may be repeated at will.
"""

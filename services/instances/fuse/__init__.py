"""Data that lies elsewhere as files on this machine: one read-only FUSE file system for a data folder, served by a process of its own.

What is mounted is a folder of small files, so the process keeps nothing: killed and started again, it serves the same. Below ``fuse`` in the
data folder::

    table/<id>.json     a description for each thing that is mounted; the mover writes and removes them
    mounted/            the mount point: ``<id>/<name>``, a file or a folder; ``mounts/…`` has a link to it
    lock                held by the process that serves: of several replicas on one machine one serves, the others wait for its end

``python -m services.instances.fuse`` is that process: a worker (``shared.hosting.workers``)::

    {"op": "serve", "id", "folder", "policy": SourcePolicy.as_json(), "share": 0 to 1, "read_s"}
        {"id", "standby": true}      another process serves this folder
        {"id", "mounted": true}      it is mounted
        {"id", "noticed": [{"key", "error": {kind, code, detail}}]}     at its source it is no longer what was mounted
        {"id", "done": {"idle": true}}      nothing has been mounted for IDLE_S, and it was taken down
        {"id", "failed": {error}}    ``fuse.refused``: the system does not let it mount
    {"op": "answer", "id"}      done at once: it works. A process that does not say so in time is killed, and another follows

It ends, and takes the mount down, when whoever started it is gone, however that ended. Only after a ``kill -9`` of this very process the kernel
keeps a mount that nobody serves; the next one takes it away before it mounts. Only this process sees the credentials of what is mounted.
"""

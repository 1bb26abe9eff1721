"""Supervised worker processes that speak JSON lines: how a service reaches the scanner and the mover.

::

    pool = WorkerPool([sys.executable, "-m", "services.instances.mover"], size=2, name="mover")
    handle = pool.submit({"op": "verify", "items": [...]})                 # push or pull:
    for message in handle: ...                                             #   pull, in the caller's thread
    handle = pool.submit(job, on_message=print); done = handle.wait(30)    #   push, from the pool's reader thread
    handle.cancel(); pool.stop()

A message is a dict as the worker's package documents it, without ``id``; the last one holds ``done`` or ``failed``.
Written for plain threads and sockets; under eventlet's monkey patching the same lines are green.
"""

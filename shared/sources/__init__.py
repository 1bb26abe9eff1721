"""Where data lies: one adaptor file per kind of source, behind the port of ``port.py``.

``registry.check_parameters`` judges what a user wrote; ``registry.open_source`` makes the adaptor. Adaptors touch
bytes and networks, so they are used in worker processes (the scanner, the mover) only, never in a service's own
process; a service calls ``check_parameters``, ``paths`` and ``fingerprint``, which are quick. Knows no database,
no broker and no eventlet.
"""

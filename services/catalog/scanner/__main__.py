"""Entry of the scan worker; see the package for what it says and hears."""
from __future__ import annotations

from services.catalog.scanner.auditing import audit, look, read
from services.catalog.scanner.scanning import scan
from shared.hosting.worker_loop import Lane, serve
from shared.sources.addresses import stand_guard

if __name__ == "__main__":
    stand_guard()
    lane = Lane(4)
    serve({"scan": (lane, scan), "audit": (lane, audit), "look": (lane, look), "read": (lane, read)})

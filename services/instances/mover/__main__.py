"""Entry of the mover; see the package for what it says and hears."""
from __future__ import annotations

import gc
import resource

from services.instances.mover.copying import copy
from services.instances.mover.looking import verify
from services.instances.mover.mounting import mount, unmount
from services.instances.mover.reading import read_out
from services.instances.mover.removing import discard, purge, restore
from services.instances.mover.settling import settle
from shared.hosting.worker_loop import Lane, serve
from shared.sources.addresses import stand_guard

OPEN_FILES = 1 << 14

if __name__ == "__main__":
    stand_guard()
    # Small copies stay open until they have their names.
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES), most))
    # Items and results are thousands of small objects that die by their counts: looking for circles among them took a tenth of a small copy.
    gc.freeze()
    gc.set_threshold(100_000)
    quick, long = Lane(4), Lane(4)
    serve({"verify": (quick, verify), "discard": (quick, discard), "restore": (quick, restore), "purge": (quick, purge),
           "read": (Lane(16), read_out), "mount": (quick, mount), "unmount": (quick, unmount), "settle": (quick, settle), "copy": (long, copy)})

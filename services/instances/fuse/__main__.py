"""Entry of the process that serves what is mounted by FUSE; see the package for what it says and hears."""
from __future__ import annotations

import functools
import logging
import os
import sys

from services.instances.fuse.serving import Serving
from shared.hosting.worker_loop import Lane, serve
from shared.sources.addresses import stand_guard

if __name__ == "__main__":
    stand_guard()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="edgemere fuse: %(message)s")
    serving = Serving()
    serve({"serve": (Lane(1), serving.serve), "answer": (Lane(1), serving.answer)}, at_end=functools.partial(serving.take_down, os.getpid()))

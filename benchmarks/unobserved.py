"""The product with its counting taken out, as the floor for what watching costs: ``python benchmarks/unobserved.py up …``."""
from __future__ import annotations

import sys
import warnings

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet

    eventlet.monkey_patch()
    from gateway.__main__ import main
    from gateway.metrics import Metrics
    from shared.hosting.figures import Figures

    def nothing(*_: object) -> None:
        pass

    for kind, names in ((Figures, ("handled", "put_aside", "moved", "lasted")), (Metrics, ("count",))):
        for name in names:
            setattr(kind, name, nothing)
    sys.exit(main(sys.argv[1:]))

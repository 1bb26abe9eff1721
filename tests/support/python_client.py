"""The Python client as its users have it: the package ``edgemere`` alone on the path."""
from __future__ import annotations

import importlib
import sys
from types import ModuleType

from tests.support.servers import ROOT

FOLDER = ROOT / "gateway" / "clients" / "python"


def client() -> ModuleType:
    """The module ``edgemere``."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module("edgemere")

"""The client of edgemere, for notebooks and programs: say what data you need, and use it.

    from edgemere import do

    with do.data("owner:darren filetypes:csv") as data:
        frame = data.dataframe()

``do`` and ``fmdm`` speak to the server that ``EDGEMERE_URL`` names (``http://127.0.0.1:3000`` without it); ``connect(url)`` gives
both for another one. Every action of the server is a method with its parameters, its errors are exceptions. Importing
this does nothing else.
"""
from .answers import Object, Page
from .client import Edgemere, connect
from .data import Data
from .errors import (
    Conflict, DeadlineExceeded, Denied, EdgemereError, Failed, Invalid, Malformed, MethodNotAllowed, NoCapacity, NotFound, NotLocal,
    NotVerified, NotYet, PreconditionFailed, TooLarge, TooMany, Unauthenticated, Unavailable, Unreachable, VersionConflict,
)

edgemere = connect()
do, fmdm = edgemere.do, edgemere.fmdm

__all__ = [
    "Conflict", "Data", "DeadlineExceeded", "Denied", "Edgemere", "EdgemereError", "Failed", "Invalid", "Malformed", "MethodNotAllowed",
    "NoCapacity", "NotFound", "NotLocal", "NotVerified", "NotYet", "Object", "Page", "PreconditionFailed", "TooLarge", "TooMany",
    "Unauthenticated", "Unavailable", "Unreachable", "VersionConflict", "connect", "do", "edgemere", "fmdm",
]

"""The state nets: one file of pure data per class, and ``net.py`` that reads them."""
from shared.nets.datainstance import DATAINSTANCE
from shared.nets.datareference import DATAREFERENCE
from shared.nets.datarequest import DATAREQUEST
from shared.nets.datareservation import DATARESERVATION
from shared.nets.datasource import DATASOURCE
from shared.nets.net import Move, Net

NETS = {net.noun: net for net in (DATAREFERENCE, DATAREQUEST, DATARESERVATION, DATAINSTANCE, DATASOURCE)}

__all__ = ["DATAINSTANCE", "DATAREFERENCE", "DATAREQUEST", "DATARESERVATION", "DATASOURCE", "NETS", "Move", "Net"]

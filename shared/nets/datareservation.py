"""The net of a DataReservation: a claim of one request on one Data at one DataSource."""
from shared.nets.net import Net

DATARESERVATION = Net("datareservation", "Init", (
    (("Init",), "create", "Created"),
    (("Init", "Created"), "confirm", "Confirmed"),
    (("Init", "Created", "Confirmed"), "free", "Rejected"),
), {"confirm": "confirm", "free": "free"})

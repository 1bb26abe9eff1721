"""The net of a DataRequest: from a question to data that can be read."""
from shared.nets.net import Net

DATAREQUEST = Net("datarequest", "Init", (
    (("Init",), "fulfill", "Needed"),
    (("Needed",), "selected", "Selected"),
    (("Selected",), "evaluated", "Evaluated"),
    (("Evaluated",), "satisfied", "Satisfied"),
    (("Satisfied",), "complete", "Completed"),
    (("Init", "Needed", "Selected", "Evaluated"), "failed", "Failed"),
    (("Failed",), "retry", "Needed"),
    (("Satisfied",), "degraded", "Needed"),
), {"fulfill": "fulfill", "complete": "complete", "failed": "cancel", "retry": "retry"})

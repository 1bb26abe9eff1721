"""The net of a DataSource: a place that holds data."""
from shared.nets.net import Net

DATASOURCE = Net("datasource", "Init", (
    (("Init",), "create", "Ready"),
    (("Ready",), "suspend", "Suspended"),
    (("Suspended",), "resume", "Ready"),
    (("Ready", "Suspended"), "shutdown", "Shutdown"),
), {"suspend": "suspend", "resume": "resume", "shutdown": "shutdown"})

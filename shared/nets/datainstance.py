"""The net of a DataInstance: data made usable for one workload."""
from shared.nets.net import Net

DATAINSTANCE = Net("datainstance", "Init", (
    (("Init",), "create", "Provisioning"),
    (("Provisioning",), "ready", "Ready"),
    (("Provisioning", "Ready"), "broken", "Broken"),
    (("Broken",), "retry", "Provisioning"),
    (("Init", "Provisioning", "Ready", "Broken", "Destroyed"), "destroy", "Destroyed"),
    (("Destroyed",), "undo", "Provisioning"),
), {"retry": "retry", "destroy": "destroy", "undo": "undo"})

"""The net of a DataReference: a named description of needed data, and whether its data is there."""
from shared.nets.net import Net

DATAREFERENCE = Net("datareference", "Init", (
    (("Init", "Provisioned", "FailedProvision"), "provision", "Provisioning"),
    (("Provisioning",), "provisioned", "Provisioned"),
    (("Provisioning",), "failed", "FailedProvision"),
), {"provision": "provision"})

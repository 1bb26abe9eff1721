"""The nets of CONTRACT §1, written a second time and by hand: an oracle that does not read the product's data."""

NETS = {
    "datareference": {
        "Init": {"provision": "Provisioning"},
        "Provisioning": {"provisioned": "Provisioned", "failed": "FailedProvision"},
        "Provisioned": {"provision": "Provisioning"}, "FailedProvision": {"provision": "Provisioning"},
    },
    "datarequest": {
        "Init": {"fulfill": "Needed", "failed": "Failed"}, "Needed": {"selected": "Selected", "failed": "Failed"},
        "Selected": {"evaluated": "Evaluated", "failed": "Failed"}, "Evaluated": {"satisfied": "Satisfied", "failed": "Failed"},
        "Satisfied": {"complete": "Completed", "degraded": "Needed"}, "Completed": {}, "Failed": {"retry": "Needed"},
    },
    "datareservation": {
        "Init": {"create": "Created", "confirm": "Confirmed", "free": "Rejected"},
        "Created": {"confirm": "Confirmed", "free": "Rejected"}, "Confirmed": {"free": "Rejected"}, "Rejected": {},
    },
    "datainstance": {
        "Init": {"create": "Provisioning", "destroy": "Destroyed"},
        "Provisioning": {"ready": "Ready", "broken": "Broken", "destroy": "Destroyed"},
        "Ready": {"broken": "Broken", "destroy": "Destroyed"}, "Broken": {"retry": "Provisioning", "destroy": "Destroyed"},
        "Destroyed": {"undo": "Provisioning", "destroy": "Destroyed"},
    },
    "datasource": {
        "Init": {"create": "Ready"}, "Ready": {"suspend": "Suspended", "shutdown": "Shutdown"},
        "Suspended": {"resume": "Ready", "shutdown": "Shutdown"}, "Shutdown": {},
    },
}

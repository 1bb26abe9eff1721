"""Who asks whom on the bus: each service's calls of the others, by method. With this, an account at the broker may call no more.

A test holds it against the code, both ways; the gateway's are the actions of the table, what they wait by, and those here besides.
"""
from __future__ import annotations

from collections.abc import Mapping

CALLS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "requests": {
        "catalog": ("datasource_list", "datasource_show", "health", "holders", "identity", "line", "locate"),
        "events": ("named",),
        "instances": ("bytes_of", "checksums_of", "explain_part", "health", "pinned_of", "refs_of", "waits_of"),
        "reservations": ("compare", "explain_part", "health", "line", "locked", "plan_part", "policy_list", "refs_of", "why_not"),
    },
    "reservations": {
        "catalog": ("claim", "claim_all", "data_by_ids", "datasource_show", "hints", "look", "query", "query_all", "release", "renew", "sources",
                    "why_not"),
        "instances": ("gone_data", "held_by", "kept_data", "live_data", "no_fuse"),
        "requests": ("advance", "blocked", "create", "evaluated", "failed", "fulfill", "make_all", "plain", "plain_all", "refused", "selected",
                     "show", "show_all"),
    },
    "instances": {
        "catalog": ("data_by_ids", "moves_ended", "relocate_all", "sources"),
        "requests": ("datareference_show", "plain", "plain_all", "provide", "show"),
        "reservations": ("confirmed", "confirmed_all", "give_back", "stand_in", "take_back"),
    },
    "catalog": {
        "instances": ("copies_claimed", "copies_known", "copies_lost", "reap", "reapable", "remove_dark"),
        "requests": ("list",),
        "reservations": ("standing",),
    },
    "events": {
        "catalog": ("person_forget", "person_held", "person_rows", "scan_cancel", "scan_list", "scan_show"),
        "instances": ("held_by", "list", "person_forget", "person_held", "person_rows"),
        "requests": ("cancel", "held_by", "list", "person_forget", "person_held", "person_rows", "show"),
        "reservations": ("person_forget", "person_held", "person_rows"),
    },
    "gateway": {
        "catalog": ("health",),
        "events": ("audit_told", "head", "health", "identify", "session_close", "session_open"),
        "instances": ("health",),
        "requests": ("health",),
        "reservations": ("health",),
    },
}

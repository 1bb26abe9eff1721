"""What the service ``catalog`` answers: sources, data, and the query over them."""
from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields

from shared.contracts.action import Action, Wait
from shared.contracts.fields import Expression, JsonList, JsonObject, Name, Ref, TextOrObject, between, one_of
from shared.contracts.parameters import One, about, listing
from shared.kernel.rights import ENGINEERS


class QueryParameters(Schema):
    """A query over the catalogue."""

    expression = Expression(metadata=about("What to find, as JSON or as a line; empty is everything."))
    limit = fields.Integer(load_default=50, validate=between(1, 5000), metadata=about("How many at most in one page."))
    cursor = fields.String(metadata=about("Where to go on: the `next` of the page before."))
    sort = fields.String(metadata=about("A field, or several with commas; a minus before it turns it round."))
    funnel = fields.Boolean(load_default=True, metadata=about("Count what each clause leaves."))
    complete = JsonObject(metadata=about("Instead of data, what a beginning may go on with: {field: \"own\"} or {value: \"dar\", of: \"owner\"}."))


ACCESS = "Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody."


class SourceParameters(Schema):
    """A source to register."""

    name = Name(required=True, metadata=about("Its name."))
    adaptor = fields.String(required=True, metadata=about("The kind of source: file, http, fsspec, sql or simulated."))
    parameters = JsonObject(load_default=dict, metadata=about(
        "Where it is: {rootdir, writable} for file, {url, …} for fsspec and sql; docs/sources.md has all."))
    capacity = JsonObject(metadata=about("{bytes, readers}; null is unlimited."))
    cost = JsonObject(metadata=about("{per_gib_out, per_gib_in, per_gib_month, per_request, latency_ms, mib_per_s}."))
    tags = JsonObject(metadata=about("Free tags."))
    location = fields.String(metadata=about("Where in the world it is."))
    access = JsonList(metadata=about(ACCESS))


class SimulateParameters(Schema):
    """A simulated source: a listing with no bytes behind it."""

    name = Name(required=True, metadata=about("Its name."))
    listing = TextOrObject(required=True, metadata=about("A mapping from path to {type, size, tags}, or its YAML text."))
    capacity = JsonObject(metadata=about("{bytes, readers}; null is unlimited."))
    cost = JsonObject(metadata=about("What using it costs."))
    tags = JsonObject(metadata=about("Free tags."))
    location = fields.String(metadata=about("Where in the world it is."))
    access = JsonList(metadata=about(ACCESS))


class DataParameters(Schema):
    """One data to register by hand in a source."""

    source = Ref(required=True, metadata=about("The source that holds it."))
    path = fields.String(required=True, metadata=about("The place within the source."))
    type = fields.String(load_default="file", validate=one_of("file", "dir", "object", "table", "stream"),
                         metadata=about("What it is."))
    size = fields.Integer(validate=between(0, 2**62), metadata=about("Bytes."))
    media_type = fields.String(metadata=about("The media type."))
    checksum = fields.String(metadata=about("sha256:… where known."))
    tags = JsonObject(metadata=about("Its metadata."))


FINDINGS = ("lost", "dark", "changed", "corrupt", "lost_copy", "changed_copy", "dark_copy")


class Repair(fields.Field):
    """Which findings are repaired: a word, or true for all that loses nothing."""

    WORDS = ("none", "catalogue", "copies", "dark", "all")

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        word = {"true": "all", "false": "none"}.get(str(value).lower(), value)
        if word not in self.WORDS:
            raise ValidationError(f"'{str(value)[:40]}' is none of {', '.join(self.WORDS)}.")
        return word


class AuditParameters(One):
    """A source to audit."""

    repair = Repair(load_default="none", metadata=about(
        "none, catalogue (it takes over what lies there), copies (lost ones are made again), all (both), dark (nobody's copies go)."))
    verify = fields.Boolean(load_default=False, metadata=about(
        "Read every byte that has a known checksum, and compare: finds what changed without changing size and time."))


class FindingParameters(One):
    """What an audit found."""

    kind = fields.String(validate=one_of(*FINDINGS), metadata=about(f"Only these: {', '.join(FINDINGS)}."))
    limit = fields.Integer(load_default=50, validate=between(1, 1000), metadata=about("How many at most in one page."))
    cursor = fields.String(metadata=about("Where to go on: the `next` of the page before."))


class AccessParameters(One):
    """Who may see which data of a source."""

    access = JsonList(required=True, metadata=about(ACCESS))


class ReapParameters(One):
    """A target to free."""

    bytes = fields.Integer(validate=between(0, 2**62), metadata=about("How many bytes; without it, down to the low mark of its capacity."))
    apply = fields.Boolean(load_default=False, metadata=about("Destroy what would go. Without it nothing is written."))


_FMDM = {"tree": "fmdm", "service": "catalog"}
_QUERY_ERRORS = ("query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand")
_SCANNED = Wait("datasource", "id", "scan.state", frozenset({"done", "failed", "cancelled"}),
                ("catalog", "datasource_show", "id"), default_s=30, operation_path="scan.id")
_AUDITED = Wait("datasource", "id", "audit.state", frozenset({"done", "failed", "cancelled"}),
                ("catalog", "datasource_show", "id"), default_s=30, operation_path="audit.id")
_SOURCE_ERRORS = ("datasource.name_taken", "source.unknown_adaptor", "source.bad_parameters", "source.rootdir_missing",
                  "source.rootdir_unreadable", "source.rootdir_not_allowed", "source.bad_listing", "source.address_not_allowed", "access.invalid")
_MOVE_ERRORS = ("datasource.not_found", "datasource.illegal_move")

ACTIONS = (
    Action(path=("query",), method="query", kind="query", parameters=QueryParameters,
           summary="Find data by its metadata, with a count of what each clause leaves.", noun="data", answer="page",
           positional="expression", errors=_QUERY_ERRORS, example={"expression": "owner:darren size>1MB"}, **_FMDM),
    Action(path=("datasource", "create"), method="datasource_create", roles=ENGINEERS, kind="command", parameters=SourceParameters,
           summary="Register a source and scan it.", noun="datasource", creates=True, wait=_SCANNED, errors=_SOURCE_ERRORS,
           example={"name": "lab", "adaptor": "file", "parameters": {"rootdir": "/data/lab"}}, **_FMDM),
    Action(path=("datasource", "simulate"), method="datasource_simulate", roles=ENGINEERS, kind="command", parameters=SimulateParameters,
           summary="Make a simulated source from a listing.", noun="datasource", creates=True, wait=_SCANNED,
           errors=("datasource.name_taken", "source.bad_listing", "access.invalid"),
           example={"name": "archive", "listing": {"scans/a.nii": {"type": "file", "size": 1024, "tags": {"owner": "darren"}}}},
           **_FMDM),
    Action(path=("datasource", "list"), method="datasource_list", kind="query", parameters=listing("datasource"),
           summary="List the sources.", noun="datasource", answer="page", errors=_QUERY_ERRORS, **_FMDM),
    Action(path=("datasource", "show"), method="datasource_show", kind="query", parameters=One,
           summary="Show one source.", noun="datasource", positional="id", errors=("datasource.not_found",),
           example={"id": "lab"}, **_FMDM),
    Action(path=("datasource", "scan"), method="datasource_scan", roles=ENGINEERS, kind="command", parameters=One,
           summary="Look what was added, changed or vanished at a source.", noun="datasource", positional="id",
           wait=_SCANNED, errors=(*_MOVE_ERRORS, "datasource.not_ready"), example={"id": "lab"}, **_FMDM),
    Action(path=("datasource", "suspend"), method="datasource_suspend", roles=ENGINEERS, kind="command", parameters=One,
           summary="Take a source out of use for a while: its data no longer matches.", noun="datasource", positional="id",
           errors=_MOVE_ERRORS, example={"id": "lab"}, move="suspend", **_FMDM),
    Action(path=("datasource", "resume"), method="datasource_resume", roles=ENGINEERS, kind="command", parameters=One,
           summary="Take a suspended source into use again.", noun="datasource", positional="id", errors=_MOVE_ERRORS,
           example={"id": "lab"}, move="resume", **_FMDM),
    Action(path=("datasource", "shutdown"), method="datasource_shutdown", roles=ENGINEERS, kind="command", parameters=One,
           summary="Take a source out of use for good.", noun="datasource", positional="id", errors=_MOVE_ERRORS,
           example={"id": "lab"}, confirm=True, move="shutdown", fresh=True, **_FMDM),
    Action(path=("datasource", "destroy"), method="datasource_destroy", roles=ENGINEERS, kind="command", parameters=One,
           summary="Remove a source and its data from the catalogue; the bytes stay where they are.", noun="datasource",
           positional="id", errors=("datasource.not_found", "datasource.in_use"), example={"id": "lab"}, confirm=True, fresh=True, **_FMDM),
    Action(path=("datasource", "access"), method="datasource_access", kind="command", parameters=AccessParameters, roles=ENGINEERS,
           summary="Say who may see which data of a source; what is reserved already stays reserved.", noun="datasource", positional="id",
           errors=("datasource.not_found", "access.invalid", "denied"),
           example={"id": "lab", "access": [{"when": "sensitivity:high", "owners": ["ada"], "roles": ["DataEngineer"]}]}, fresh=True, **_FMDM),
    Action(path=("datasource", "audit"), method="datasource_audit", roles=ENGINEERS, kind="command", parameters=AuditParameters,
           summary="Compare the catalogue with what lies at a source, both ways; report, or repair.", noun="datasource", positional="id",
           wait=_AUDITED, errors=("datasource.not_found", "datasource.not_ready", "datasource.busy"),
           example={"id": "lab"}, fresh=True, harmless={"repair": ("none",)}, **_FMDM),
    Action(path=("datasource", "findings"), method="datasource_findings", roles=ENGINEERS, kind="query", parameters=FindingParameters,
           summary="List what the newest audit of a source found.", noun="finding", answer="page", positional="id",
           errors=("datasource.not_found",), example={"id": "lab", "kind": "lost"}, **_FMDM),
    Action(path=("datasource", "reap"), method="datasource_reap", roles=ENGINEERS, kind="command", parameters=ReapParameters,
           summary="Say which copies would go to free a target, the least recently used first; with apply they go.",
           noun="reaping", answer="document", positional="id",
           errors=("datasource.not_found", "datasource.not_writable", "datasource.unbounded"),
           example={"id": "results", "bytes": 1000000000}, fresh=True, **_FMDM),
    Action(path=("data", "create"), method="data_create", roles=ENGINEERS, kind="command", parameters=DataParameters,
           summary="Register one data in a source by hand.", noun="data", creates=True,
           errors=("datasource.not_found", "data.path_taken"),
           example={"source": "lab", "path": "scans/b.nii", "size": 2048, "tags": {"owner": "darren"}}, **_FMDM),
    Action(path=("data", "list"), method="data_list", kind="query", parameters=listing("data"),
           summary="List the data.", noun="data", answer="page", errors=_QUERY_ERRORS, **_FMDM),
    Action(path=("data", "find"), method="data_find", kind="query", parameters=listing("data"),
           summary="Find data by id, name or query.", noun="data", answer="page", positional="attr1",
           errors=("data.not_found", *_QUERY_ERRORS), example={"attr1": "owner:darren"}, **_FMDM),
    Action(path=("data", "show"), method="data_show", kind="query", parameters=One,
           summary="Show one data with its metadata.", noun="data", positional="id",
           errors=("data.not_found", "data.ambiguous"), example={"id": "data_…"}, **_FMDM),
    Action(path=("data", "destroy"), method="data_destroy", roles=ENGINEERS, kind="command", parameters=One,
           summary="Remove one data from the catalogue; the bytes stay where they are.", noun="data", positional="id",
           errors=("data.not_found", "data.in_use"), example={"id": "data_…"}, confirm=True, fresh=True, **_FMDM),
)

ERRORS = {
    "datasource.not_found": "There is no such source.",
    "datasource.ambiguous": "Several sources have this name; `candidates` lists them.",
    "datasource.name_taken": "There is a source of this name already.",
    "datasource.busy": "The source is being scanned, or audited in another way.",
    "datasource.unbounded": "The source has no bound of bytes, so that it is not known how much must go.",
    "datasource.illegal_move": "The state of the source does not allow this; `legal` lists what it allows.",
    "datasource.not_ready": "The source is not Ready.",
    "datasource.in_use": "Live instances or claims stand on the source; they are named.",
    "datasource.not_writable": "The source does not take copies; it needs parameters.writable: true.",
    "access.invalid": "The access rules of a source cannot be used; `errors` says which.",
    "scan.not_found": "There is no such scan.",
    "data.not_found": "There is no such data.",
    "data.ambiguous": "Several data have this name; `candidates` lists them.",
    "data.path_taken": "There is data at this path already.",
    "data.in_use": "Live instances stand on the data; they are named.",
    "source.no_capacity": "A source has no room for what was asked; nothing was claimed.",
    "source.unknown_adaptor": "There is no such kind of source.",
    "source.bad_parameters": "The parameters do not fit the kind of source.",
    "source.bad_path": "The path cannot lie within a source: it leads out of it, or is not a path.",
    "source.bad_row": "A row of a listing cannot be used; it is named, and the others are used.",
    "source.bad_sidecar": "A side-car cannot be used; its item is there without it.",
    "source.bad_tags": "Tags cannot be kept; their item is there without them.",
    "source.too_many_tags": "An item has more tags than are kept; it is there without them.",
    "source.unlisted": "A listing describes an item that is not there.",
    "source.link_skipped": "A link in the folder; links are not followed.",
    "source.special_skipped": "A device, a socket or a pipe in the folder.",
    "source.is_folder": "The data is a folder, which has no bytes of its own; the files in it do.",
    "source.no_bytes": "A simulated source has no bytes.",
    "source.unreachable": "The server of the source cannot be reached.",
    "source.secret_missing": "A secret that the parameters name is not there where the source is read.",
    "source.secret_not_allowed": "The parameters name an environment variable that sources may not read.",
    "source.driver_missing": "The package for this kind of store or database is not installed.",
    "source.access_denied": "The store or database denies access.",
    "source.throttled": "The store asks for fewer requests; it is tried again with pauses.",
    "source.timeout": "The store does not answer in time.",
    "source.bucket_missing": "The bucket does not exist.",
    "source.address_not_allowed": "The address is an internal one, which sources may not reach.",
    "source.rootdir_missing": "The folder does not exist.",
    "source.rootdir_unreadable": "The folder cannot be read.",
    "source.rootdir_not_allowed": "The folder lies outside the allowed roots, or is the orchestrator's own.",
    "source.bad_listing": "The listing cannot be used; `errors` says where.",
}

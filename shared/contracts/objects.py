"""The classes of objects as they look on the wire: attributes, kinds and meaning, as data.

The kinds are ``text number boolean time ref refs json list count``. Lists, filters, queries, OpenAPI and the
documents are made from this table.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """One attribute: its ``kind``, what it means, whether lists can be filtered by a parameter of its name."""

    name: str
    kind: str
    about: str
    filter: bool = False


@dataclass(frozen=True)
class ObjectType:
    """A class of objects. ``by_default`` is the sort order of its lists."""

    noun: str
    about: str
    attributes: tuple[Attribute, ...]
    by_default: str = "id"

    @property
    def fields(self) -> dict[str, str]:
        """What a query over this class may name: attribute to kind."""
        return {attribute.name: attribute.kind for attribute in self.attributes}

    @property
    def filters(self) -> tuple[Attribute, ...]:
        return tuple(attribute for attribute in self.attributes if attribute.filter)


def _type(noun: str, about: str, *rows: tuple) -> ObjectType:
    # Objects that are rows of a table share these five.
    common = (
        ("id", "text", "The id: a ULID with the prefix of its class.", True),
        ("name", "text", "The name, unique per class and owner.", True),
        ("version", "number", "Rises with every change; also the ETag."),
        ("created_at", "time", "When it was made."),
        ("updated_at", "time", "When it last changed."),
    )
    named = {row[0] for row in rows}
    rows = (*(row for row in common if row[0] not in named), *rows)
    return ObjectType(noun, about, tuple(Attribute(*row) for row in rows))


DATAREFERENCE = _type(
    "datareference", "A named, reusable description of needed data.",
    ("short_name", "text", "The name without what it belongs to."),
    ("state", "text", "The state in the net of its class.", True),
    ("query", "json", "What data is needed, in the query language."),
    ("connection", "json", "How the application connects; secrets are never returned."),
    ("defaults", "json", "Defaults for the requests made from it."),
    ("standing", "boolean", "Whether new matching data is attached as it appears."),
    ("better", "json", "A cheaper place for data that it has: {data, source, instead_of, cost, cost_now, saves, at}."),
    ("swap", "json", "The last change of place: {state, request, previous, at, until}."),
    ("request", "ref", "The request that provisions it, the newest one.", True),
    ("instances", "count", "How many live instances it has."),
    ("reason", "json", "Why it is FailedProvision."),
    ("owner", "text", "Whom it belongs to.", True),
)
DATAREQUEST = _type(
    "datarequest", "One asking for data, and how far it has come.",
    ("ename", "text", "The extended name: parents joined with a dot."),
    ("state", "text", "The state in the net of its class.", True),
    ("query", "json", "What data is needed, in the query language."),
    ("message", "text", "A sentence on where it stands, with the next step."),
    ("reason", "json", "Why it failed: {code, …}."),
    ("blocked_by", "json", "What it waits for: {code, object, since, next_retry_at, retries, position, ahead, estimate, unstick}."),
    ("data_reference", "ref", "The reference it was made from.", True),
    ("reservations", "count", "How many reservations this attempt has."),
    ("instances", "count", "How many live instances it has."),
    ("target", "text", "The source that receives copies and moves.", True),
    ("workload", "text", "What the data is for.", True),
    ("action", "text", "The requester's wish: leave, mount, copy, move or auto.", True),
    ("granularity", "text", "An instance per data, or per source.", True),
    ("select", "json", "How candidates are chosen: {mode, count, minimum, …}."),
    ("wait", "boolean", "Whether it waits in Needed instead of failing."),
    ("deadline", "time", "When to give up."),
    ("needed_by", "time", "When the data must be ready."),
    ("expected_at", "time", "When it will be ready, as far as can be estimated."),
    ("warnings", "list", "What its user should know: {code, detail, …}."),
    ("group", "json", "Several queries in one, all of them or none: {member: {query, select}}."),
    ("standing", "boolean", "Whether new matching data is attached as it appears."),
    ("parent", "ref", "The standing request for which this one attaches what came later.", True),
    ("lock", "json", "The lock that it reproduces: {digest, policy, items}."),
    ("lifetime", "number", "Seconds that the instances live after they are ready."),
    ("expires_at", "time", "When their lifetime is over."),
    ("labels", "json", "Free labels."),
    ("attempt", "number", "Rises with every retry."),
    ("cost", "number", "The sum of the confirmed reservations' costs."),
    ("owner", "text", "Whom it belongs to.", True),
)
DATARESERVATION = _type(
    "datareservation", "A claim of one request on one Data at one DataSource.",
    ("name", "text", "The name of the data that it claims.", True),
    ("state", "text", "The state in the net of its class.", True),
    ("request", "ref", "The request that it belongs to.", True),
    ("attempt", "number", "The attempt of the request."),
    ("data", "ref", "The data.", True),
    ("source", "ref", "Where the data lies.", True),
    ("action", "text", "What was decided: leave, mount, copy, move or reject.", True),
    ("target", "ref", "Where a copy goes."),
    ("cost", "number", "One comparable figure."),
    ("cost_parts", "json", "What the cost is made of."),
    ("rule", "text", "The policy rule that decided."),
    ("decision", "json", "The decision record: the rules tried and what each clause gave."),
    ("standby", "boolean", "A losing replica, kept until the winner is ready."),
    ("member", "text", "Of a group: the member that it was reserved for.", True),
    ("reason", "json", "Why it was rejected."),
    ("expires_at", "time", "When the claim ends."),
    ("owner", "text", "Whom it belongs to.", True),
)
DATAINSTANCE = _type(
    "datainstance", "Data made usable for one workload: where it is and how to read it.",
    ("state", "text", "The state in the net of its class.", True),
    ("reference", "ref", "The reference it was made for.", True),
    ("request", "ref", "The request it was made for.", True),
    ("source", "ref", "The source of its data.", True),
    ("data", "refs", "The data in it."),
    ("workload", "text", "What the data is for.", True),
    ("member", "text", "Of a group: the member that it was made for.", True),
    ("access", "list", "An entry per data: {data, name, action, uri, path, size, checksum, media_type, state, verified}; "
     "of a mount also via (link, fuse, or read_through), and attempts where another replica was tried before."),
    ("bytes_total", "number", "Bytes in all."),
    ("bytes_done", "number", "Bytes that are there: verified, or copied so far."),
    ("progress", "json", "While bytes are moved: {phase: copying or verifying, bytes_per_s, seconds_left}."),
    ("attempt", "number", "The attempt of the request."),
    ("lifetime", "number", "Seconds from Ready to its end; null has no end."),
    ("expires_at", "time", "When it is removed, unless it is pinned then."),
    ("pinned", "boolean", "Whether somebody keeps it: it does not expire, and is neither reaped nor destroyed."),
    ("pin", "json", "Who keeps it, why and until when: {owner, reason, until, at}."),
    ("alone", "boolean", "Whether it outlives its request: it was pinned when that ended, or was brought back later."),
    ("used_at", "time", "When it was last read through the product, renewed or made ready."),
    ("undo_until", "time", "Until when a destroyed one can be brought back."),
    ("reason", "json", "Why it is Broken, or could not be brought back."),
    ("owner", "text", "Whom it belongs to.", True),
)
DATASOURCE = _type(
    "datasource", "A place that holds data: a folder, a web server, or a simulated one.",
    ("state", "text", "The state in the net of its class.", True),
    ("adaptor", "text", "The kind of source: file, http, fsspec, sql or simulated.", True),
    ("parameters", "json", "Where it is; secrets are never returned."),
    ("capacity", "json", "{bytes, readers}; null is unlimited."),
    ("used", "json", "{bytes, readers} claimed now."),
    ("cost", "json", "{per_gib_out, per_gib_in, per_gib_month, per_request, latency_ms, mib_per_s}."),
    ("tags", "json", "Free tags."),
    ("location", "text", "Where in the world it is.", True),
    ("data_count", "number", "How many Data it has."),
    ("data_bytes", "number", "How many bytes they are."),
    ("scan", "json", "The newest scan: {id, state, files, bytes, added, changed, vanished, problems}."),
    ("access", "json", "Who may see which of its data: [{when, owners, roles}]; shown to its owner and Administrators, by show alone."),
    ("audit", "json", "The newest audit: {id, state, repair, files, bytes, verify, lost, dark, changed, corrupt, lost_copy, dark_copy, repaired, message}."),
    ("owner", "text", "Whom it belongs to.", True),
)
DATA = _type(
    "data", "One item in a DataSource: file, object or table, with metadata.",
    ("name", "text", "The base name.", True),
    ("path", "text", "The place within the source.", True),
    ("type", "text", "file, dir, object, table or stream.", True),
    ("size", "number", "Bytes."),
    ("media_type", "text", "The media type.", True),
    ("checksum", "text", "sha256:… where known.", True),
    ("modified_at", "time", "When its content last changed, as the source says."),
    ("tags", "json", "Its metadata."),
    ("source", "ref", "The source that holds it.", True),
    ("location", "text", "Where in the world the source is."),
    ("uri", "text", "Its address."),
)
POLICY = ObjectType("policy", "One rule of the policy file.", (
    Attribute("name", "text", "The name of the rule.", True),
    Attribute("position", "number", "Its place in the order."),
    Attribute("when", "json", "What it applies to."),
    Attribute("action", "text", "leave, mount, copy, move, auto or reject.", True),
    Attribute("target", "text", "Where copies and moves go."),
    Attribute("because", "text", "Why the rule is there."),
    Attribute("enforce", "boolean", "False: it decides nothing, and is only noted."),
    Attribute("revision", "text", "The revision of the file."),
), "position")
EVENT = ObjectType("event", "One message, as it was sent.", (
    Attribute("sequence", "number", "Its position in the event log; only rises."),
    Attribute("id", "text", "The id of the message.", True),
    Attribute("event", "text", "The name of the message.", True),
    Attribute("time", "time", "When the change was committed."),
    Attribute("obj", "json", "The object as it was then."),
    Attribute("changed", "list", "The attributes that changed."),
    Attribute("correlation_id", "text", "What it belongs to, from the first call on.", True),
    Attribute("causation_id", "text", "The message that caused it.", True),
), "sequence")
DEADLETTER = ObjectType("deadletter", "A message that could not be handled.", (
    Attribute("id", "text", "Its id.", True),
    Attribute("event", "text", "The name of the message.", True),
    Attribute("queue", "text", "The queue whose handler failed.", True),
    Attribute("reason", "text", "Why, in a sentence."),
    Attribute("code", "text", "Why, as a code.", True),
    Attribute("attempts", "number", "How often it was tried."),
    Attribute("time", "time", "When it was given up."),
    Attribute("body", "json", "The message."),
    Attribute("encoding", "text", "How the body is shown: json, text, base64, or cut when it is long."),
    Attribute("headers", "json", "Its headers."),
    Attribute("replayed_at", "time", "When it was last replayed."),
    Attribute("owner", "text", "Whom the message belonged to; empty: nobody, so that an Administrator alone sees it.", True),
), "id")
OPERATION = ObjectType("operation", "Something long under way: a request, or a scan.", (
    Attribute("id", "text", "The ULID of what it follows.", True),
    Attribute("kind", "text", "datarequest, scan or audit.", True),
    Attribute("status", "text", "running, waiting, succeeded, failed or cancelled.", True),
    Attribute("subject", "ref", "What it follows."),
    Attribute("progress", "json", "How far it is."),
    Attribute("message", "text", "A sentence on where it stands."),
    Attribute("reason", "json", "Why it failed."),
    Attribute("created_at", "time", "When it began."),
    Attribute("updated_at", "time", "When it last moved."),
), "id")

FINDING = ObjectType("finding", "One thing in which catalogue and storage differ.", (
    Attribute("kind", "text", "lost, dark, changed, corrupt, lost_copy, changed_copy or dark_copy.", True),
    Attribute("path", "text", "Where it is, or should be, within the source.", True),
    Attribute("data", "ref", "The data that the catalogue has there."),
    Attribute("instance", "text", "The instance whose copy it is."),
    Attribute("detail", "text", "What is different, in a sentence."),
    Attribute("repaired", "boolean", "Whether the audit repaired it."),
), "path")
APIKEY = _type(
    "apikey", "A key that speaks for its owner; the secret in it is shown once and kept nowhere.",
    ("name", "text", "What it is for; unique for its owner.", True),
    ("kind", "text", "key, or session: what a login on the page made of a key or token.", True),
    ("state", "text", "Active, Expired or Revoked.", True),
    ("roles", "list", "What it may do."),
    ("expires_at", "time", "When it ends by itself; null never."),
    ("last_used_at", "time", "When it was last used, within about ten minutes."),
    ("overlap_until", "time", "Until when the secret before the last rotation works."),
    ("revoked_at", "time", "When it was revoked."),
    ("made_by", "text", "Who made it."),
    ("key", "text", "The key itself; in the one answer that makes it, null ever after."),
    ("owner", "text", "Whom it speaks for.", True),
)
AUDITENTRY = ObjectType("auditentry", "One line of the audit log: who did what, and what came of it.", (
    Attribute("sequence", "number", "Its position; only rises."),
    Attribute("id", "text", "Its id.", True),
    Attribute("kind", "text", "changed (written with the change), answered (what the caller was told), login, refused (a login), read, "
              "found (data was refused), or forgotten.", True),
    Attribute("time", "time", "When it happened."),
    Attribute("owner", "text", "On whose behalf.", True),
    Attribute("credential", "text", "The id of the key, or the subject of the token.", True),
    Attribute("address", "text", "Where the call came from.", True),
    Attribute("action", "text", "The action of the table.", True),
    Attribute("outcome", "text", "ok, or the stable code of the error.", True),
    Attribute("status", "number", "The HTTP status of the answer."),
    Attribute("objects", "list", "The ids of what was changed, at most 20."),
    Attribute("count", "number", "How many were changed; of logins, how many since the line before: of refused ones in a minute, of others in an hour."),
    Attribute("correlation_id", "text", "The call that it belongs to.", True),
    Attribute("hash", "text", "The digest of this line and the one before."),
), "sequence")
PERSONROW = ObjectType("personrow", "One row of what is kept of a person.", (
    Attribute("service", "text", "The service whose table it is in."),
    Attribute("table", "text", "The table."),
    Attribute("row", "json", "What stands there; digests of secrets are left out."),
), "table")

OBJECTS = {kind.noun: kind for kind in (
    DATAREFERENCE, DATAREQUEST, DATARESERVATION, DATAINSTANCE, DATASOURCE, DATA, POLICY, EVENT, DEADLETTER, OPERATION, FINDING,
    APIKEY, AUDITENTRY, PERSONROW,
)}

// Made from the action table by .ci/generate; do not change it by hand.


/** An object, named. */
export interface Ref { id: string | null; name: string | null }
/** How many there are, where a list shows no refs. */
export type Count = any;
export interface Page<T> { items: T[]; next: string | null; total: number | null; total_is_estimate?: boolean; [name: string]: any }
/** A message of the event bus. */
export interface Message<T = any> {
  sequence: number; id: string; event: EventName; time: string; obj: T; changed?: string[];
  correlation_id?: string; causation_id?: string; [name: string]: any;
}
/** RFC 9457. */
export interface Problem {
  type?: string; title?: string; status: number; detail?: string; code: string; instance?: string; request_id?: string;
  next_step?: string; errors?: { pointer: string; detail: string }[]; [name: string]: any;
}
export interface Options {
  /** Seconds to wait for the end of what takes long. */
  wait?: number;
  respondAsync?: boolean;
  signal?: AbortSignal;
  timeoutMs?: number;
  idempotencyKey?: string;
  /** The version that you saw. */
  ifMatch?: number;
  requestId?: string;
  /** First and last byte of a content. */
  range?: [number, number];
}
export interface Subscribing {
  class?: string; object?: string; owner?: string; query?: string | Record<string, any>;
  /** Resume after this sequence; the past comes first. */
  after?: number;
  signal?: AbortSignal;
  onError?: (error: EdgemereError) => void;
}
export interface Subscription { close(): void; readonly position: number | undefined }
export interface About { status: number; requestId: string | null; location: string | null; version?: number; operation: string | null }
export class EdgemereError extends Error {
  constructor(problem: Problem);
  problem: Problem; status: number; code: string; detail: string; nextStep: string; requestId: string;
  errors: { pointer: string; detail: string }[];
}
/** The server could not be reached, or its answer ended too early. */
export class Unreachable extends EdgemereError {}

/** A named, reusable description of needed data. */
export interface Datareference {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** The name, unique per class and owner. */
  name: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** The name without what it belongs to. */
  short_name: string | null;
  /** The state in the net of its class. */
  state: string | null;
  /** What data is needed, in the query language. */
  query: any;
  /** How the application connects; secrets are never returned. */
  connection: any;
  /** Defaults for the requests made from it. */
  defaults: any;
  /** Whether new matching data is attached as it appears. */
  standing: boolean | null;
  /** A cheaper place for data that it has: {data, source, instead_of, cost, cost_now, saves, at}. */
  better: any;
  /** The last change of place: {state, request, previous, at, until}. */
  swap: any;
  /** The request that provisions it, the newest one. */
  request: Ref | null;
  /** How many live instances it has. */
  instances: Ref[] | Count;
  /** Why it is FailedProvision. */
  reason: any;
  /** Whom it belongs to. */
  owner: string | null;
  [name: string]: any;
}

/** One asking for data, and how far it has come. */
export interface Datarequest {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** The name, unique per class and owner. */
  name: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** The extended name: parents joined with a dot. */
  ename: string | null;
  /** The state in the net of its class. */
  state: string | null;
  /** What data is needed, in the query language. */
  query: any;
  /** A sentence on where it stands, with the next step. */
  message: string | null;
  /** Why it failed: {code, …}. */
  reason: any;
  /** What it waits for: {code, object, since, next_retry_at, retries, position, ahead, estimate, unstick}. */
  blocked_by: any;
  /** The reference it was made from. */
  data_reference: Ref | null;
  /** How many reservations this attempt has. */
  reservations: Ref[] | Count;
  /** How many live instances it has. */
  instances: Ref[] | Count;
  /** The source that receives copies and moves. */
  target: string | null;
  /** What the data is for. */
  workload: string | null;
  /** The requester's wish: leave, mount, copy, move or auto. */
  action: string | null;
  /** An instance per data, or per source. */
  granularity: string | null;
  /** How candidates are chosen: {mode, count, minimum, …}. */
  select: any;
  /** Whether it waits in Needed instead of failing. */
  wait: boolean | null;
  /** When to give up. */
  deadline: string | null;
  /** When the data must be ready. */
  needed_by: string | null;
  /** When it will be ready, as far as can be estimated. */
  expected_at: string | null;
  /** What its user should know: {code, detail, …}. */
  warnings: any[] | null;
  /** Several queries in one, all of them or none: {member: {query, select}}. */
  group: any;
  /** Whether new matching data is attached as it appears. */
  standing: boolean | null;
  /** The standing request for which this one attaches what came later. */
  parent: Ref | null;
  /** The lock that it reproduces: {digest, policy, items}. */
  lock: any;
  /** Seconds that the instances live after they are ready. */
  lifetime: number | null;
  /** When their lifetime is over. */
  expires_at: string | null;
  /** Free labels. */
  labels: any;
  /** Rises with every retry. */
  attempt: number | null;
  /** The sum of the confirmed reservations' costs. */
  cost: number | null;
  /** Whom it belongs to. */
  owner: string | null;
  [name: string]: any;
}

/** A claim of one request on one Data at one DataSource. */
export interface Datareservation {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** The name of the data that it claims. */
  name: string | null;
  /** The state in the net of its class. */
  state: string | null;
  /** The request that it belongs to. */
  request: Ref | null;
  /** The attempt of the request. */
  attempt: number | null;
  /** The data. */
  data: Ref | null;
  /** Where the data lies. */
  source: Ref | null;
  /** What was decided: leave, mount, copy, move or reject. */
  action: string | null;
  /** Where a copy goes. */
  target: Ref | null;
  /** One comparable figure. */
  cost: number | null;
  /** What the cost is made of. */
  cost_parts: any;
  /** The policy rule that decided. */
  rule: string | null;
  /** The decision record: the rules tried and what each clause gave. */
  decision: any;
  /** A losing replica, kept until the winner is ready. */
  standby: boolean | null;
  /** Of a group: the member that it was reserved for. */
  member: string | null;
  /** Why it was rejected. */
  reason: any;
  /** When the claim ends. */
  expires_at: string | null;
  /** Whom it belongs to. */
  owner: string | null;
  [name: string]: any;
}

/** Data made usable for one workload: where it is and how to read it. */
export interface Datainstance {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** The name, unique per class and owner. */
  name: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** The state in the net of its class. */
  state: string | null;
  /** The reference it was made for. */
  reference: Ref | null;
  /** The request it was made for. */
  request: Ref | null;
  /** The source of its data. */
  source: Ref | null;
  /** The data in it. */
  data: Ref[] | Count;
  /** What the data is for. */
  workload: string | null;
  /** Of a group: the member that it was made for. */
  member: string | null;
  /** An entry per data: {data, name, action, uri, path, size, checksum, media_type, state, verified}; of a mount also via (link, fuse, or read_through), and attempts where another replica was tried before. */
  access: any[] | null;
  /** Bytes in all. */
  bytes_total: number | null;
  /** Bytes that are there: verified, or copied so far. */
  bytes_done: number | null;
  /** While bytes are moved: {phase: copying or verifying, bytes_per_s, seconds_left}. */
  progress: any;
  /** The attempt of the request. */
  attempt: number | null;
  /** Seconds from Ready to its end; null has no end. */
  lifetime: number | null;
  /** When it is removed, unless it is pinned then. */
  expires_at: string | null;
  /** Whether somebody keeps it: it does not expire, and is neither reaped nor destroyed. */
  pinned: boolean | null;
  /** Who keeps it, why and until when: {owner, reason, until, at}. */
  pin: any;
  /** Whether it outlives its request: it was pinned when that ended, or was brought back later. */
  alone: boolean | null;
  /** When it was last read through the product, renewed or made ready. */
  used_at: string | null;
  /** Until when a destroyed one can be brought back. */
  undo_until: string | null;
  /** Why it is Broken, or could not be brought back. */
  reason: any;
  /** Whom it belongs to. */
  owner: string | null;
  [name: string]: any;
}

/** A place that holds data: a folder, a web server, or a simulated one. */
export interface Datasource {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** The name, unique per class and owner. */
  name: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** The state in the net of its class. */
  state: string | null;
  /** The kind of source: file, http, fsspec, sql or simulated. */
  adaptor: string | null;
  /** Where it is; secrets are never returned. */
  parameters: any;
  /** {bytes, readers}; null is unlimited. */
  capacity: any;
  /** {bytes, readers} claimed now. */
  used: any;
  /** {per_gib_out, per_gib_in, per_gib_month, per_request, latency_ms, mib_per_s}. */
  cost: any;
  /** Free tags. */
  tags: any;
  /** Where in the world it is. */
  location: string | null;
  /** How many Data it has. */
  data_count: number | null;
  /** How many bytes they are. */
  data_bytes: number | null;
  /** The newest scan: {id, state, files, bytes, added, changed, vanished, problems}. */
  scan: any;
  /** Who may see which of its data: [{when, owners, roles}]; shown to its owner and Administrators, by show alone. */
  access: any;
  /** The newest audit: {id, state, repair, files, bytes, verify, lost, dark, changed, corrupt, lost_copy, dark_copy, repaired, message}. */
  audit: any;
  /** Whom it belongs to. */
  owner: string | null;
  [name: string]: any;
}

/** One item in a DataSource: file, object or table, with metadata. */
export interface Data {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** The base name. */
  name: string | null;
  /** The place within the source. */
  path: string | null;
  /** file, dir, object, table or stream. */
  type: string | null;
  /** Bytes. */
  size: number | null;
  /** The media type. */
  media_type: string | null;
  /** sha256:… where known. */
  checksum: string | null;
  /** When its content last changed, as the source says. */
  modified_at: string | null;
  /** Its metadata. */
  tags: any;
  /** The source that holds it. */
  source: Ref | null;
  /** Where in the world the source is. */
  location: string | null;
  /** Its address. */
  uri: string | null;
  [name: string]: any;
}

/** One rule of the policy file. */
export interface Policy {
  /** The name of the rule. */
  name: string | null;
  /** Its place in the order. */
  position: number | null;
  /** What it applies to. */
  when: any;
  /** leave, mount, copy, move, auto or reject. */
  action: string | null;
  /** Where copies and moves go. */
  target: string | null;
  /** Why the rule is there. */
  because: string | null;
  /** False: it decides nothing, and is only noted. */
  enforce: boolean | null;
  /** The revision of the file. */
  revision: string | null;
  [name: string]: any;
}

/** One message, as it was sent. */
export interface Event {
  /** Its position in the event log; only rises. */
  sequence: number | null;
  /** The id of the message. */
  id: string | null;
  /** The name of the message. */
  event: string | null;
  /** When the change was committed. */
  time: string | null;
  /** The object as it was then. */
  obj: any;
  /** The attributes that changed. */
  changed: any[] | null;
  /** What it belongs to, from the first call on. */
  correlation_id: string | null;
  /** The message that caused it. */
  causation_id: string | null;
  [name: string]: any;
}

/** A message that could not be handled. */
export interface Deadletter {
  /** Its id. */
  id: string | null;
  /** The name of the message. */
  event: string | null;
  /** The queue whose handler failed. */
  queue: string | null;
  /** Why, in a sentence. */
  reason: string | null;
  /** Why, as a code. */
  code: string | null;
  /** How often it was tried. */
  attempts: number | null;
  /** When it was given up. */
  time: string | null;
  /** The message. */
  body: any;
  /** How the body is shown: json, text, base64, or cut when it is long. */
  encoding: string | null;
  /** Its headers. */
  headers: any;
  /** When it was last replayed. */
  replayed_at: string | null;
  /** Whom the message belonged to; empty: nobody, so that an Administrator alone sees it. */
  owner: string | null;
  [name: string]: any;
}

/** Something long under way: a request, or a scan. */
export interface Operation {
  /** The ULID of what it follows. */
  id: string | null;
  /** datarequest, scan or audit. */
  kind: string | null;
  /** running, waiting, succeeded, failed or cancelled. */
  status: string | null;
  /** What it follows. */
  subject: Ref | null;
  /** How far it is. */
  progress: any;
  /** A sentence on where it stands. */
  message: string | null;
  /** Why it failed. */
  reason: any;
  /** When it began. */
  created_at: string | null;
  /** When it last moved. */
  updated_at: string | null;
  [name: string]: any;
}

/** One thing in which catalogue and storage differ. */
export interface Finding {
  /** lost, dark, changed, corrupt, lost_copy, changed_copy or dark_copy. */
  kind: string | null;
  /** Where it is, or should be, within the source. */
  path: string | null;
  /** The data that the catalogue has there. */
  data: Ref | null;
  /** The instance whose copy it is. */
  instance: string | null;
  /** What is different, in a sentence. */
  detail: string | null;
  /** Whether the audit repaired it. */
  repaired: boolean | null;
  [name: string]: any;
}

/** A key that speaks for its owner; the secret in it is shown once and kept nowhere. */
export interface Apikey {
  /** The id: a ULID with the prefix of its class. */
  id: string | null;
  /** Rises with every change; also the ETag. */
  version: number | null;
  /** When it was made. */
  created_at: string | null;
  /** When it last changed. */
  updated_at: string | null;
  /** What it is for; unique for its owner. */
  name: string | null;
  /** key, or session: what a login on the page made of a key or token. */
  kind: string | null;
  /** Active, Expired or Revoked. */
  state: string | null;
  /** What it may do. */
  roles: any[] | null;
  /** When it ends by itself; null never. */
  expires_at: string | null;
  /** When it was last used, within about ten minutes. */
  last_used_at: string | null;
  /** Until when the secret before the last rotation works. */
  overlap_until: string | null;
  /** When it was revoked. */
  revoked_at: string | null;
  /** Who made it. */
  made_by: string | null;
  /** The key itself; in the one answer that makes it, null ever after. */
  key: string | null;
  /** Whom it speaks for. */
  owner: string | null;
  [name: string]: any;
}

/** One line of the audit log: who did what, and what came of it. */
export interface Auditentry {
  /** Its position; only rises. */
  sequence: number | null;
  /** Its id. */
  id: string | null;
  /** changed (written with the change), answered (what the caller was told), login, refused (a login), read, found (data was refused), or forgotten. */
  kind: string | null;
  /** When it happened. */
  time: string | null;
  /** On whose behalf. */
  owner: string | null;
  /** The id of the key, or the subject of the token. */
  credential: string | null;
  /** Where the call came from. */
  address: string | null;
  /** The action of the table. */
  action: string | null;
  /** ok, or the stable code of the error. */
  outcome: string | null;
  /** The HTTP status of the answer. */
  status: number | null;
  /** The ids of what was changed, at most 20. */
  objects: any[] | null;
  /** How many were changed; of logins, how many since the line before: of refused ones in a minute, of others in an hour. */
  count: number | null;
  /** The call that it belongs to. */
  correlation_id: string | null;
  /** The digest of this line and the one before. */
  hash: string | null;
  [name: string]: any;
}

/** One row of what is kept of a person. */
export interface Personrow {
  /** The service whose table it is in. */
  service: string | null;
  /** The table. */
  table: string | null;
  /** What stands there; digests of secrets are left out. */
  row: any;
  [name: string]: any;
}

/** The names of the messages. */
export type EventName = "datareference.create" | "datareference.updated" | "datareference.destroy" | "datareference.provisioned" | "datareference.failedprovision" | "datareference.provisioning" | "datarequest.create" | "datarequest.updated" | "datarequest.destroy" | "datarequest.needed" | "datarequest.selected" | "datarequest.evaluated" | "datarequest.satisfied" | "datarequest.completed" | "datarequest.failed" | "datareservation.create" | "datareservation.updated" | "datareservation.destroy" | "datareservation.created" | "datareservation.confirmed" | "datareservation.rejected" | "datainstance.create" | "datainstance.updated" | "datainstance.destroy" | "datainstance.provisioning" | "datainstance.ready" | "datainstance.broken" | "datasource.create" | "datasource.updated" | "datasource.destroy" | "datasource.ready" | "datasource.suspended" | "datasource.shutdown" | "data.create" | "data.updated" | "data.destroy" | "datarequest.waiting" | "datainstance.expiring" | "datareference.better_available" | "apikey.changed";

/** The parameters of `do.datarequest.create`. */
export interface DoDatarequestCreateParameters {
  /** Its name; without one it is numbered. */
  name?: string;
  /** What data is needed, as JSON or as a line. */
  query?: string | Record<string, any>;
  /** The reference to make it from. */
  data_reference?: string | Record<string, any>;
  /** The source that receives copies; it needs parameters.writable: true. */
  target?: string;
  /** The action wished for. */
  action?: "leave" | "mount" | "copy" | "move" | "auto";
  /** An instance per data or per source. */
  granularity?: "data" | "source";
  /** How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, max_cost, max_bytes, together, apart, expected_reads}. */
  select?: Record<string, any>;
  /** Wait in Needed while nothing matches or there is no room. */
  wait?: boolean;
  /** When to give up: a time, or a duration from now. */
  deadline?: string | number;
  /** How long the instances live after they are ready. */
  lifetime?: string | number;
  /** What the data is for. */
  workload?: string;
  /** Free labels. */
  labels?: Record<string, any>;
  /** Says that an empty query means everything. */
  all?: boolean;
  /** False leaves it in Init. */
  fulfill?: boolean;
  /** When the data must be ready: a time, or a duration from now. It warns when that cannot be met. */
  needed_by?: string | number;
  /** Attach new matching data as it appears. */
  standing?: boolean;
  /** Several queries in one, all of them or none: {member: query, member: {query, select}}. */
  group?: Record<string, any>;
  /** A lock that 'datarequest lock' wrote: the same bytes once more. */
  lock?: Record<string, any>;
}

/** The parameters of `do.datarequest.fulfill`. */
export interface DoDatarequestFulfillParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datarequest.list`. */
export interface DoDatarequestListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The reference it was made from. */
  data_reference?: string;
  /** The source that receives copies and moves. */
  target?: string;
  /** What the data is for. */
  workload?: string;
  /** The requester's wish: leave, mount, copy, move or auto. */
  action?: string;
  /** An instance per data, or per source. */
  granularity?: string;
  /** The standing request for which this one attaches what came later. */
  parent?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datarequest.find`. */
export interface DoDatarequestFindParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The reference it was made from. */
  data_reference?: string;
  /** The source that receives copies and moves. */
  target?: string;
  /** What the data is for. */
  workload?: string;
  /** The requester's wish: leave, mount, copy, move or auto. */
  action?: string;
  /** An instance per data, or per source. */
  granularity?: string;
  /** The standing request for which this one attaches what came later. */
  parent?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datarequest.show`. */
export interface DoDatarequestShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datarequest.plan`. */
export interface DoDatarequestPlanParameters {
  /** Its name; without one it is numbered. */
  name?: string;
  /** What data is needed, as JSON or as a line. */
  query?: string | Record<string, any>;
  /** The reference to make it from. */
  data_reference?: string | Record<string, any>;
  /** The source that receives copies; it needs parameters.writable: true. */
  target?: string;
  /** The action wished for. */
  action?: "leave" | "mount" | "copy" | "move" | "auto";
  /** An instance per data or per source. */
  granularity?: "data" | "source";
  /** How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, max_cost, max_bytes, together, apart, expected_reads}. */
  select?: Record<string, any>;
  /** Wait in Needed while nothing matches or there is no room. */
  wait?: boolean;
  /** When to give up: a time, or a duration from now. */
  deadline?: string | number;
  /** How long the instances live after they are ready. */
  lifetime?: string | number;
  /** What the data is for. */
  workload?: string;
  /** Free labels. */
  labels?: Record<string, any>;
  /** Says that an empty query means everything. */
  all?: boolean;
  /** False leaves it in Init. */
  fulfill?: boolean;
  /** When the data must be ready: a time, or a duration from now. It warns when that cannot be met. */
  needed_by?: string | number;
  /** Attach new matching data as it appears. */
  standing?: boolean;
  /** Several queries in one, all of them or none: {member: query, member: {query, select}}. */
  group?: Record<string, any>;
  /** A lock that 'datarequest lock' wrote: the same bytes once more. */
  lock?: Record<string, any>;
  /** How many candidates at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
}

/** The parameters of `do.datarequest.explain`. */
export interface DoDatarequestExplainParameters {
  /** The id or name of the object. */
  id: string;
  /** A Data (id, name or path): why it is not used, or which clause, rule or replica stands against it. */
  why_not?: string;
  /** The reservation to show alone, with its decision record. */
  reservation?: string;
  /** A version of the request: its explanation as it was then. */
  at?: number;
  /** The end of an attempt: its explanation as it was then. */
  attempt?: number;
  /** How many reservations at most in one page. */
  limit?: number;
  /** Where the reservations go on: the `reservations.next` of the page before. */
  cursor?: string;
}

/** The parameters of `do.datarequest.cancel`. */
export interface DoDatarequestCancelParameters {
  /** The id or name of the object. */
  id: string;
  /** Why, in a sentence. */
  because?: string;
}

/** The parameters of `do.datarequest.retry`. */
export interface DoDatarequestRetryParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datarequest.complete`. */
export interface DoDatarequestCompleteParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datarequest.destroy`. */
export interface DoDatarequestDestroyParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datarequest.lock`. */
export interface DoDatarequestLockParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datareference.create`. */
export interface DoDatareferenceCreateParameters {
  /** Its name. */
  name: string;
  /** The name without what it belongs to. */
  short_name?: string;
  /** What data is needed, as JSON or as a line. */
  query: string | Record<string, any>;
  /** How the application connects; secrets by name. */
  connection?: Record<string, any>;
  /** Defaults for its requests: target, action, granularity, select, … */
  defaults?: Record<string, any>;
  /** Attach new matching data as it appears, and say where data is cheaper. */
  standing?: boolean;
  /** Says that an empty query means everything. */
  all?: boolean;
}

/** The parameters of `do.datareference.list`. */
export interface DoDatareferenceListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The request that provisions it, the newest one. */
  request?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datareference.find`. */
export interface DoDatareferenceFindParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The request that provisions it, the newest one. */
  request?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datareference.show`. */
export interface DoDatareferenceShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datareference.provision`. */
export interface DoDatareferenceProvisionParameters {
  /** The id or name of the object. */
  id: string;
  /** Keep what it has until its data is ready where it is cheapest now, then turn to that in one step. */
  swap?: boolean;
  /** Turn back to the former place, within requests.swap_grace_s. */
  undo?: boolean;
}

/** The parameters of `do.datareference.destroy`. */
export interface DoDatareferenceDestroyParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.reserve`. */
export interface DoReserveParameters {
  /** An id, a name, or an inline request. */
  request: string | Record<string, any>;
}

/** The parameters of `do.evaluate`. */
export interface DoEvaluateParameters {
  /** An id, a name, or an inline request. */
  request: string | Record<string, any>;
}

/** The parameters of `do.datareservation.list`. */
export interface DoDatareservationListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name of the data that it claims. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The request that it belongs to. */
  request?: string;
  /** The data. */
  data?: string;
  /** Where the data lies. */
  source?: string;
  /** What was decided: leave, mount, copy, move or reject. */
  action?: string;
  /** Of a group: the member that it was reserved for. */
  member?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datareservation.find`. */
export interface DoDatareservationFindParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name of the data that it claims. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The request that it belongs to. */
  request?: string;
  /** The data. */
  data?: string;
  /** Where the data lies. */
  source?: string;
  /** What was decided: leave, mount, copy, move or reject. */
  action?: string;
  /** Of a group: the member that it was reserved for. */
  member?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datareservation.show`. */
export interface DoDatareservationShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datareservation.confirm`. */
export interface DoDatareservationConfirmParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datareservation.free`. */
export interface DoDatareservationFreeParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.policy.list`. */
export interface DoPolicyListParameters {
}

/** The parameters of `do.policy.show`. */
export interface DoPolicyShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.policy.test`. */
export interface DoPolicyTestParameters {
  /** The policies as YAML text or an object. */
  file: string | Record<string, any>;
  /** How far back to look: a duration such as 30d, or a time. 30 days unless it says otherwise. */
  since?: string | number;
}

/** The parameters of `do.datainstance.create`. */
export interface DoDatainstanceCreateParameters {
  /** An id, a name, or an inline reference {name, query, …}. */
  dataref: string | Record<string, any>;
}

/** The parameters of `do.datainstance.destroy`. */
export interface DoDatainstanceDestroyParameters {
  /** The id or name of the instance. */
  attr1?: string | Record<string, any>;
  /** The same, as the other actions call it. */
  id?: string;
}

/** The parameters of `do.datainstance.find`. */
export interface DoDatainstanceFindParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The reference it was made for. */
  reference?: string;
  /** The request it was made for. */
  request?: string;
  /** The source of its data. */
  source?: string;
  /** What the data is for. */
  workload?: string;
  /** Of a group: the member that it was made for. */
  member?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datainstance.list`. */
export interface DoDatainstanceListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The reference it was made for. */
  reference?: string;
  /** The request it was made for. */
  request?: string;
  /** The source of its data. */
  source?: string;
  /** What the data is for. */
  workload?: string;
  /** Of a group: the member that it was made for. */
  member?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.datainstance.show`. */
export interface DoDatainstanceShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datainstance.content`. */
export interface DoDatainstanceContentParameters {
  /** The id or name of the object. */
  id: string;
  /** The id, name or path of the data; needed when the instance has several. */
  data?: string;
}

/** The parameters of `do.datainstance.retry`. */
export interface DoDatainstanceRetryParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datainstance.renew`. */
export interface DoDatainstanceRenewParameters {
  /** The id or name of the instance. */
  id: string;
  /** How long from now; without it, its own lifetime. */
  for?: string | number;
  /** A time instead, or a duration from now. */
  until?: string | number;
}

/** The parameters of `do.datainstance.pin`. */
export interface DoDatainstancePinParameters {
  /** The id or name of the object. */
  id: string;
  /** Who keeps it; without it, the caller. */
  owner?: string;
  /** Why, in a sentence. */
  reason?: string;
  /** Until when: a time, or a duration from now. Without it, until it is unpinned. */
  until?: string | number;
}

/** The parameters of `do.datainstance.unpin`. */
export interface DoDatainstanceUnpinParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.datainstance.undo`. */
export interface DoDatainstanceUndoParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.query`. */
export interface FmdmQueryParameters {
  /** What to find, as JSON or as a line; empty is everything. */
  expression?: string | Record<string, any>;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
  /** Count what each clause leaves. */
  funnel?: boolean;
  /** Instead of data, what a beginning may go on with: {field: "own"} or {value: "dar", of: "owner"}. */
  complete?: Record<string, any>;
}

/** The parameters of `fmdm.datasource.create`. */
export interface FmdmDatasourceCreateParameters {
  /** Its name. */
  name: string;
  /** The kind of source: file, http, fsspec, sql or simulated. */
  adaptor: string;
  /** Where it is: {rootdir, writable} for file, {url, …} for fsspec and sql; docs/sources.md has all. */
  parameters?: Record<string, any>;
  /** {bytes, readers}; null is unlimited. */
  capacity?: Record<string, any>;
  /** {per_gib_out, per_gib_in, per_gib_month, per_request, latency_ms, mib_per_s}. */
  cost?: Record<string, any>;
  /** Free tags. */
  tags?: Record<string, any>;
  /** Where in the world it is. */
  location?: string;
  /** Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody. */
  access?: any;
}

/** The parameters of `fmdm.datasource.simulate`. */
export interface FmdmDatasourceSimulateParameters {
  /** Its name. */
  name: string;
  /** A mapping from path to {type, size, tags}, or its YAML text. */
  listing: string | Record<string, any>;
  /** {bytes, readers}; null is unlimited. */
  capacity?: Record<string, any>;
  /** What using it costs. */
  cost?: Record<string, any>;
  /** Free tags. */
  tags?: Record<string, any>;
  /** Where in the world it is. */
  location?: string;
  /** Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody. */
  access?: any;
}

/** The parameters of `fmdm.datasource.list`. */
export interface FmdmDatasourceListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The name, unique per class and owner. */
  name?: string;
  /** The state in the net of its class. */
  state?: string;
  /** The kind of source: file, http, fsspec, sql or simulated. */
  adaptor?: string;
  /** Where in the world it is. */
  location?: string;
  /** Whom it belongs to. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `fmdm.datasource.show`. */
export interface FmdmDatasourceShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.datasource.scan`. */
export interface FmdmDatasourceScanParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.datasource.suspend`. */
export interface FmdmDatasourceSuspendParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.datasource.resume`. */
export interface FmdmDatasourceResumeParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.datasource.shutdown`. */
export interface FmdmDatasourceShutdownParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.datasource.destroy`. */
export interface FmdmDatasourceDestroyParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.datasource.access`. */
export interface FmdmDatasourceAccessParameters {
  /** The id or name of the object. */
  id: string;
  /** Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody. */
  access: any;
}

/** The parameters of `fmdm.datasource.audit`. */
export interface FmdmDatasourceAuditParameters {
  /** The id or name of the object. */
  id: string;
  /** none, catalogue (it takes over what lies there), copies (lost ones are made again), all (both), dark (nobody's copies go). */
  repair?: any;
  /** Read every byte that has a known checksum, and compare: finds what changed without changing size and time. */
  verify?: boolean;
}

/** The parameters of `fmdm.datasource.findings`. */
export interface FmdmDatasourceFindingsParameters {
  /** The id or name of the object. */
  id: string;
  /** Only these: lost, dark, changed, corrupt, lost_copy, changed_copy, dark_copy. */
  kind?: "lost" | "dark" | "changed" | "corrupt" | "lost_copy" | "changed_copy" | "dark_copy";
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
}

/** The parameters of `fmdm.datasource.reap`. */
export interface FmdmDatasourceReapParameters {
  /** The id or name of the object. */
  id: string;
  /** How many bytes; without it, down to the low mark of its capacity. */
  bytes?: number;
  /** Destroy what would go. Without it nothing is written. */
  apply?: boolean;
}

/** The parameters of `fmdm.data.create`. */
export interface FmdmDataCreateParameters {
  /** The source that holds it. */
  source: string;
  /** The place within the source. */
  path: string;
  /** What it is. */
  type?: "file" | "dir" | "object" | "table" | "stream";
  /** Bytes. */
  size?: number;
  /** The media type. */
  media_type?: string;
  /** sha256:… where known. */
  checksum?: string;
  /** Its metadata. */
  tags?: Record<string, any>;
}

/** The parameters of `fmdm.data.list`. */
export interface FmdmDataListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The base name. */
  name?: string;
  /** The place within the source. */
  path?: string;
  /** file, dir, object, table or stream. */
  type?: string;
  /** The media type. */
  media_type?: string;
  /** sha256:… where known. */
  checksum?: string;
  /** The source that holds it. */
  source?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `fmdm.data.find`. */
export interface FmdmDataFindParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** The base name. */
  name?: string;
  /** The place within the source. */
  path?: string;
  /** file, dir, object, table or stream. */
  type?: string;
  /** The media type. */
  media_type?: string;
  /** sha256:… where known. */
  checksum?: string;
  /** The source that holds it. */
  source?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `fmdm.data.show`. */
export interface FmdmDataShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `fmdm.data.destroy`. */
export interface FmdmDataDestroyParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.event.list`. */
export interface DoEventListParameters {
  /** Only messages after this sequence. */
  after?: number;
  /** A name, or a pattern such as datarequest.* */
  event?: string;
  /** The id or name of the object. */
  object?: string;
  /** Everything that belongs to one call. */
  correlation_id?: string;
  /** Only messages since this time, or this long ago. */
  since?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** `sequence` (oldest first) or `-sequence`. */
  sort?: string;
}

/** The parameters of `do.event.stream`. */
export interface DoEventStreamParameters {
  /** A name, or a pattern such as datarequest.*; several with commas. */
  event?: string;
  /** A class of objects, such as datarequest; several with commas. */
  class?: string;
  /** The id or name of the object. */
  object?: string;
  /** Whom the object belongs to. */
  owner?: string;
  /** A query over the object, where all messages are about one class. */
  query?: string | Record<string, any>;
  /** Resume after this sequence. */
  after?: number;
}

/** The parameters of `do.event.send`. */
export interface DoEventSendParameters {
  /** datareference.provisioning, datarequest.needed or datarequest.selected. */
  event: string;
  /** The object, its id or its name. */
  obj: any;
}

/** The parameters of `do.event.dead.list`. */
export interface DoEventDeadListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** Its id. */
  id?: string;
  /** The name of the message. */
  event?: string;
  /** The queue whose handler failed. */
  queue?: string;
  /** Why, as a code. */
  code?: string;
  /** Whom the message belonged to; empty: nobody, so that an Administrator alone sees it. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.event.dead.replay`. */
export interface DoEventDeadReplayParameters {
  /** One dead letter. */
  id?: string;
  /** All dead letters of this message. */
  event?: string;
  /** All dead letters of this queue. */
  queue?: string;
  /** Every dead letter that was not replayed yet. */
  all?: boolean;
}

/** The parameters of `do.operation.list`. */
export interface DoOperationListParameters {
  /** running, waiting, succeeded, failed or cancelled. */
  status?: string;
  /** datarequest, scan or audit. */
  kind?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
}

/** The parameters of `do.operation.show`. */
export interface DoOperationShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.operation.cancel`. */
export interface DoOperationCancelParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.apikey.create`. */
export interface DoApikeyCreateParameters {
  /** What the key is for: a label, unique for its owner. Without one it is called apikey-<n>. */
  name?: string;
  /** Whom the key speaks for; another than oneself needs an Administrator. */
  owner?: string;
  /** What the key may do: no more than whoever makes it. Without it the same. */
  roles?: any;
  /** When the key ends by itself: 90d, 12h. Without it never. */
  lifetime?: string | number;
}

/** The parameters of `do.apikey.list`. */
export interface DoApikeyListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** The id: a ULID with the prefix of its class. */
  id?: string;
  /** What it is for; unique for its owner. */
  name?: string;
  /** key, or session: what a login on the page made of a key or token. */
  kind?: string;
  /** Active, Expired or Revoked. */
  state?: string;
  /** Whom it speaks for. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.apikey.show`. */
export interface DoApikeyShowParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.apikey.rotate`. */
export interface DoApikeyRotateParameters {
  /** The id or name of the object. */
  id: string;
  /** How long the secret before goes on working, at most 30d. Without it, it ends at once. */
  overlap?: string | number;
}

/** The parameters of `do.apikey.revoke`. */
export interface DoApikeyRevokeParameters {
  /** The id or name of the object. */
  id: string;
}

/** The parameters of `do.identity.show`. */
export interface DoIdentityShowParameters {
}

/** The parameters of `do.identity.seen`. */
export interface DoIdentitySeenParameters {
  /** The id of the last notice that was seen. Without it all of them. */
  upto?: number;
}

/** The parameters of `do.person.show`. */
export interface DoPersonShowParameters {
  /** Who: the name that is the owner of what is his. Without it oneself; another needs an Administrator. */
  owner?: string;
}

/** The parameters of `do.person.export`. */
export interface DoPersonExportParameters {
  /** Who: the name that is the owner of what is his. Without it oneself; another needs an Administrator. */
  owner?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
}

/** The parameters of `do.person.remove`. */
export interface DoPersonRemoveParameters {
  /** Who: the name that is the owner of what is his. */
  owner: string;
  /** Whether to say only what would be done, and what stands in the way. */
  preview?: boolean;
}

/** The parameters of `do.audit.list`. */
export interface DoAuditListParameters {
  /** An id, a name, or a query over the object's fields. */
  attr1?: string | Record<string, any>;
  /** Its id. */
  id?: string;
  /** changed (written with the change), answered (what the caller was told), login, refused (a login), read, found (data was refused), or forgotten. */
  kind?: string;
  /** On whose behalf. */
  owner?: string;
  /** The id of the key, or the subject of the token. */
  credential?: string;
  /** Where the call came from. */
  address?: string;
  /** The action of the table. */
  action?: string;
  /** ok, or the stable code of the error. */
  outcome?: string;
  /** The call that it belongs to. */
  correlation_id?: string;
  /** How many at most in one page. */
  limit?: number;
  /** Where to go on: the `next` of the page before. */
  cursor?: string;
  /** A field, or several with commas; a minus before it turns it round. */
  sort?: string;
}

/** The parameters of `do.audit.verify`. */
export interface DoAuditVerifyParameters {
  /** The position that was noted. */
  sequence?: number;
  /** The hash that was noted with it: shows whether the end was cut off since. */
  hash?: string;
}

/** It cannot be parsed. */
export class Malformed extends EdgemereError {}

/** Who is calling is not known, or not believed. */
export class Unauthenticated extends EdgemereError {}

/** The caller may not do this. */
export class Denied extends EdgemereError {}

/** No such object. */
export class NotFound extends EdgemereError {}

/** The address exists, the HTTP method does not. */
export class MethodNotAllowed extends EdgemereError {}

/** The state of things forbids it; ``extra`` says what is legal or in the way. */
export class Conflict extends EdgemereError {}

/** Somebody changed the object meanwhile; another attempt reads the new version. */
export class VersionConflict extends EdgemereError {}

/** A source is full; nothing was claimed. */
export class NoCapacity extends EdgemereError {}

/** If-Match names another version. */
export class PreconditionFailed extends EdgemereError {}

/** More than the stated bound. */
export class TooLarge extends EdgemereError {}

/** Understood, and refused. */
export class Invalid extends EdgemereError {}

/** More than may be asked in this time. */
export class TooMany extends EdgemereError {}

/** On every face, and not built yet. */
export class NotYet extends EdgemereError {}

/** A part that is needed does not answer; trying again later can help. */
export class Unavailable extends EdgemereError {}

/** No answer within the time that the caller gave. */
export class DeadlineExceeded extends EdgemereError {}

export interface DoTree {
  datarequest: {
    /** Ask for data: create a request and, unless told otherwise, start to fulfil it. */
    create: (parameters?: DoDatarequestCreateParameters, options?: Options) => Promise<Datarequest>;
    /** Start to fulfil a request that is in Init. */
    fulfill: (parameters: DoDatarequestFulfillParameters, options?: Options) => Promise<Datarequest>;
    /** List the requests. */
    list: (parameters?: DoDatarequestListParameters, options?: Options) => Promise<Page<Datarequest>>;
    /** Find requests by id, name or query. */
    find: (parameters?: DoDatarequestFindParameters, options?: Options) => Promise<Page<Datarequest>>;
    /** Show one request. */
    show: (parameters: DoDatarequestShowParameters, options?: Options) => Promise<Datarequest>;
    /** Say what a request would do, writing nothing: candidates, decisions, costs, room, budget, refusals. */
    plan: (parameters?: DoDatarequestPlanParameters, options?: Options) => Promise<any>;
    /** Explain a request: funnel, hints, every decision, what each step was caused by, what ends a wait. */
    explain: (parameters: DoDatarequestExplainParameters, options?: Options) => Promise<any>;
    /** Give up a request that is under way. */
    cancel: (parameters: DoDatarequestCancelParameters, options?: Options) => Promise<Datarequest>;
    /** Start a new attempt of a failed request. */
    retry: (parameters: DoDatarequestRetryParameters, options?: Options) => Promise<Datarequest>;
    /** Say that the data is no longer needed: claims are released and copies removed. */
    complete: (parameters: DoDatarequestCompleteParameters, options?: Options) => Promise<Datarequest>;
    /** Remove a request that has no live instances. */
    destroy: (parameters: DoDatarequestDestroyParameters, options?: Options) => Promise<Datarequest>;
    /** Write down ids, checksums and the policy revision; 'datarequest create --lock' gives the same bytes. */
    lock: (parameters: DoDatarequestLockParameters, options?: Options) => Promise<any>;
  };
  datareference: {
    /** Describe needed data under a name. */
    create: (parameters: DoDatareferenceCreateParameters, options?: Options) => Promise<Datareference>;
    /** List the references. */
    list: (parameters?: DoDatareferenceListParameters, options?: Options) => Promise<Page<Datareference>>;
    /** Find references by id, name or query. */
    find: (parameters?: DoDatareferenceFindParameters, options?: Options) => Promise<Page<Datareference>>;
    /** Show one reference. */
    show: (parameters: DoDatareferenceShowParameters, options?: Options) => Promise<Datareference>;
    /** Provision a reference anew: start a new request for its data. */
    provision: (parameters: DoDatareferenceProvisionParameters, options?: Options) => Promise<Datareference>;
    /** Remove a reference that has no live instances. */
    destroy: (parameters: DoDatareferenceDestroyParameters, options?: Options) => Promise<Datareference>;
  };
  /** Find the data that a request needs and reserve it. */
  reserve: (parameters: DoReserveParameters, options?: Options) => Promise<Datarequest>;
  /** Decide how each reserved data is used, and have it provisioned. */
  evaluate: (parameters: DoEvaluateParameters, options?: Options) => Promise<Datarequest>;
  datareservation: {
    /** List the reservations. */
    list: (parameters?: DoDatareservationListParameters, options?: Options) => Promise<Page<Datareservation>>;
    /** Find reservations by id, name or query. */
    find: (parameters?: DoDatareservationFindParameters, options?: Options) => Promise<Page<Datareservation>>;
    /** Show one reservation with the decision that was taken. */
    show: (parameters: DoDatareservationShowParameters, options?: Options) => Promise<Datareservation>;
    /** Confirm a reservation by hand. */
    confirm: (parameters: DoDatareservationConfirmParameters, options?: Options) => Promise<Datareservation>;
    /** Give a reservation back: its claim is released. */
    free: (parameters: DoDatareservationFreeParameters, options?: Options) => Promise<Datareservation>;
  };
  policy: {
    /** List the policy rules in their order, and what is wrong with a newer file that does not count. */
    list: (parameters?: DoPolicyListParameters, options?: Options) => Promise<Page<Policy>>;
    /** Show one policy rule. */
    show: (parameters: DoPolicyShowParameters, options?: Options) => Promise<Policy>;
    /** Try a policy file on past decisions: what would differ, and at what cost. Nothing is changed. */
    test: (parameters: DoPolicyTestParameters, options?: Options) => Promise<any>;
  };
  datainstance: {
    /** Turn a reference into instances: find, reserve and provision its data. */
    create: (parameters: DoDatainstanceCreateParameters, options?: Options) => Promise<any>;
    /** Destroy an instance; a copy leaves its path at once. */
    destroy: (parameters?: DoDatainstanceDestroyParameters, options?: Options) => Promise<Datainstance>;
    /** Find instances by id, name or query. */
    find: (parameters?: DoDatainstanceFindParameters, options?: Options) => Promise<Page<Datainstance>>;
    /** List the instances. */
    list: (parameters?: DoDatainstanceListParameters, options?: Options) => Promise<Page<Datainstance>>;
    /** Show one instance: where its data is and how to read it. */
    show: (parameters: DoDatainstanceShowParameters, options?: Options) => Promise<Datainstance>;
    /** Read the bytes of one data of an instance. */
    content: (parameters: DoDatainstanceContentParameters, options?: Options) => Promise<Response>;
    /** Try a broken instance again. */
    retry: (parameters: DoDatainstanceRetryParameters, options?: Options) => Promise<Datainstance>;
    /** Let an instance live longer: by its own lifetime from now, for a span, or until a time. */
    renew: (parameters: DoDatainstanceRenewParameters, options?: Options) => Promise<Datainstance>;
    /** Keep an instance: it does not expire, and is neither reaped nor destroyed. */
    pin: (parameters: DoDatainstancePinParameters, options?: Options) => Promise<Datainstance>;
    /** No longer keep an instance: its lifetime counts again. */
    unpin: (parameters: DoDatainstanceUnpinParameters, options?: Options) => Promise<Datainstance>;
    /** Bring a destroyed instance back within its grace time; it is verified before it is Ready. */
    undo: (parameters: DoDatainstanceUndoParameters, options?: Options) => Promise<Datainstance>;
  };
  event: {
    /** List what happened, in order. */
    list: (parameters?: DoEventListParameters, options?: Options) => Promise<Page<Event>>;
    /** Follow what happens, live; resumes from a sequence without a gap. */
    stream: (parameters?: DoEventStreamParameters, options?: Options) => Promise<AsyncGenerator<Message>>;
    /** Send one of the messages that the product handles. */
    send: (parameters: DoEventSendParameters, options?: Options) => Promise<any>;
    dead: {
      /** List the messages that could not be handled, and why. */
      list: (parameters?: DoEventDeadListParameters, options?: Options) => Promise<Page<Deadletter>>;
      /** Hand dead letters to their handlers again. */
      replay: (parameters?: DoEventDeadReplayParameters, options?: Options) => Promise<Page<Deadletter>>;
    };
  };
  operation: {
    /** List what is, or was, under way. */
    list: (parameters?: DoOperationListParameters, options?: Options) => Promise<Page<Operation>>;
    /** Show how far something long has come. */
    show: (parameters: DoOperationShowParameters, options?: Options) => Promise<Operation>;
    /** Stop something long. */
    cancel: (parameters: DoOperationCancelParameters, options?: Options) => Promise<Operation>;
  };
  apikey: {
    /** Make a key for a program or a person; its secret is shown this once. */
    create: (parameters?: DoApikeyCreateParameters, options?: Options) => Promise<Apikey>;
    /** List keys: one's own; an Administrator sees everybody's. */
    list: (parameters?: DoApikeyListParameters, options?: Options) => Promise<Page<Apikey>>;
    /** Show what a key may do, and when it was last used; never its secret. */
    show: (parameters: DoApikeyShowParameters, options?: Options) => Promise<Apikey>;
    /** Give a key a new secret, shown this once; the one before may work on for a while. */
    rotate: (parameters: DoApikeyRotateParameters, options?: Options) => Promise<Apikey>;
    /** End a key at once, everywhere, with the sessions that were opened with it. */
    revoke: (parameters: DoApikeyRevokeParameters, options?: Options) => Promise<Apikey>;
  };
  identity: {
    /** Show who is calling: the owner, the roles, the credential that says so, and what was done with his keys. */
    show: (parameters?: DoIdentityShowParameters, options?: Options) => Promise<any>;
    /** Say that what was done with one's keys was seen: answers stop to tell it. */
    seen: (parameters?: DoIdentitySeenParameters, options?: Options) => Promise<any>;
  };
  person: {
    /** Show what there is of a person, and until when the audit log keeps the name. */
    show: (parameters?: DoPersonShowParameters, options?: Options) => Promise<any>;
    /** Give out everything that is kept of a person, row by row. */
    export: (parameters?: DoPersonExportParameters, options?: Options) => Promise<Page<Personrow>>;
    /** Remove a person: his credentials end, and a pseudonym takes the place of his name in everything that is kept. */
    remove: (parameters: DoPersonRemoveParameters, options?: Options) => Promise<any>;
  };
  audit: {
    /** List who changed what, with which outcome, and whose login was refused. */
    list: (parameters?: DoAuditListParameters, options?: Options) => Promise<Page<Auditentry>>;
    /** Look whether anything in the audit log was changed, taken out or put in since it was written. */
    verify: (parameters?: DoAuditVerifyParameters, options?: Options) => Promise<any>;
  };
}

export interface FmdmTree {
  /** Find data by its metadata, with a count of what each clause leaves. */
  query: (parameters?: FmdmQueryParameters, options?: Options) => Promise<Page<Data>>;
  datasource: {
    /** Register a source and scan it. */
    create: (parameters: FmdmDatasourceCreateParameters, options?: Options) => Promise<Datasource>;
    /** Make a simulated source from a listing. */
    simulate: (parameters: FmdmDatasourceSimulateParameters, options?: Options) => Promise<Datasource>;
    /** List the sources. */
    list: (parameters?: FmdmDatasourceListParameters, options?: Options) => Promise<Page<Datasource>>;
    /** Show one source. */
    show: (parameters: FmdmDatasourceShowParameters, options?: Options) => Promise<Datasource>;
    /** Look what was added, changed or vanished at a source. */
    scan: (parameters: FmdmDatasourceScanParameters, options?: Options) => Promise<Datasource>;
    /** Take a source out of use for a while: its data no longer matches. */
    suspend: (parameters: FmdmDatasourceSuspendParameters, options?: Options) => Promise<Datasource>;
    /** Take a suspended source into use again. */
    resume: (parameters: FmdmDatasourceResumeParameters, options?: Options) => Promise<Datasource>;
    /** Take a source out of use for good. */
    shutdown: (parameters: FmdmDatasourceShutdownParameters, options?: Options) => Promise<Datasource>;
    /** Remove a source and its data from the catalogue; the bytes stay where they are. */
    destroy: (parameters: FmdmDatasourceDestroyParameters, options?: Options) => Promise<Datasource>;
    /** Say who may see which data of a source; what is reserved already stays reserved. */
    access: (parameters: FmdmDatasourceAccessParameters, options?: Options) => Promise<Datasource>;
    /** Compare the catalogue with what lies at a source, both ways; report, or repair. */
    audit: (parameters: FmdmDatasourceAuditParameters, options?: Options) => Promise<Datasource>;
    /** List what the newest audit of a source found. */
    findings: (parameters: FmdmDatasourceFindingsParameters, options?: Options) => Promise<Page<Finding>>;
    /** Say which copies would go to free a target, the least recently used first; with apply they go. */
    reap: (parameters: FmdmDatasourceReapParameters, options?: Options) => Promise<any>;
  };
  data: {
    /** Register one data in a source by hand. */
    create: (parameters: FmdmDataCreateParameters, options?: Options) => Promise<Data>;
    /** List the data. */
    list: (parameters?: FmdmDataListParameters, options?: Options) => Promise<Page<Data>>;
    /** Find data by id, name or query. */
    find: (parameters?: FmdmDataFindParameters, options?: Options) => Promise<Page<Data>>;
    /** Show one data with its metadata. */
    show: (parameters: FmdmDataShowParameters, options?: Options) => Promise<Data>;
    /** Remove one data from the catalogue; the bytes stay where they are. */
    destroy: (parameters: FmdmDataDestroyParameters, options?: Options) => Promise<Data>;
  };
}

export interface Trees {
  do: DoTree;
  fmdm: FmdmTree;
}

export interface Edgemere extends Trees {
  url: string;
  diml: { dml: Trees };
  /** Call an action by its name, such as `do.datarequest.create`. */
  call(name: string, parameters?: Record<string, any>, options?: Options): Promise<any>;
  /** Call `listener` for every message of these names, from now on or after a sequence, each once and in order. */
  on(event: EventName | "*" | (string & {}), listener: (message: Message) => void, more?: Subscribing): Subscription;
  events(more?: Subscribing & { event?: string }): AsyncGenerator<Message>;
  onConnection(listener: (state: "connected" | "reconnecting" | "refused") => void): () => void;
  close(): void;
}
export interface ConnectOptions { fetch?: typeof fetch; timeoutMs?: number; WebSocket?: any; key?: string; token?: string }
export function connect(url?: string, options?: ConnectOptions): Edgemere;
export function about(answer: any): About | undefined;
export function errorOf(problem: Problem): EdgemereError;
export function requestOf(row: any, parameters: Record<string, any>): [string, string, string | undefined];
export const ACTIONS: Record<string, any>;
export const edgemere: Edgemere;
export default edgemere;

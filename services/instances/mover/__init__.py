"""The mover: ``python -m services.instances.mover``, a clean process that looks at, copies and removes bytes.

It speaks JSON lines over the socket that ``shared.hosting.workers.WorkerPool`` hands it, several jobs at once::

    mover = WorkerPool([sys.executable, "-m", "services.instances.mover"], size=2, name="mover")
    job = mover.submit({"op": "copy", "sources": {…}, "items": […], "policy": policy.as_json()})
    for message in job: ...            # or submit(job, on_message) and job.wait()

Into the worker (the pool adds ``id``). ``sources`` spares repeating parameters: a place is a name in it, or the
object ``{"adaptor", "parameters"}`` itself::

    {"op": "verify",  "id", "items": [{"key", "source": place, "path", "size"?, "modified_at"?, "checksum"?}]}
    {"op": "copy",    "id", "items": [{"key", "source": place, "path", "size"?, "modified_at"?, "checksum"?,
                                       "target": place, "target_path"}]}
    {"op": "discard", "id", "items": [{"key", "target": place, "target_path"}]}
    {"op": "restore", "id", "items": [{"key", "target": place, "target_path", "checksum"?}]}
    {"op": "purge",   "id", "items": [{"key", "target": place, "target_path"}]}
        each with "sources": {name: {"adaptor", "parameters"}}?, "policy": SourcePolicy.as_json()?, "verify": "cache" | "device"?, "share": 0 to 1?
    {"op": "mount",   "id", "mounts": folder, "fuse": {"folder", "why": why there is none, or null}?, "items": [{as of verify, "mount_path"}]}
    {"op": "unmount", "id", "mounts": folder, "fuse": {"folder"}?, "items": [{"key", "mount_path"}]}
    {"op": "settle",  "id", "items": [{"key", "source", "path", "target", "target_path", "size"?, "seen"}]}
        after a copy with "moves": true, once the catalogue says that the data is at the target
    {"op": "read",    "id", "to": name of a socket, "items": [one {"key", "source", "path", "packed"?}]}      see reading.py
    {"op": "cancel", "id"}             within a second; nothing half-done stays

``key`` names one copy for ever: 1 to 200 of ``A-Z a-z 0-9 _ . : -`` (``<instance id>:<data id>`` will do). ``path`` and
``target_path`` are paths as in ``shared/sources/paths.py``; make the latter with ``paths.target_path(instance_name, path)``.
``size``, ``modified_at``, ``checksum`` are what the catalogue says; what is missing or null is not compared.

Out of it, per job::

    {"id", "results": [result, …]}     every item exactly once, in batches of at most 500, in no promised order
        {"key", "ok": true, "uri", "path", "size", "checksum", "verified"}           verify, copy, restore
            mount too, with "via": "link" | "fuse" | "read_through"; a copy that "moves" has {"fingerprint", "modified_at", "seen": Stat} as well
        {"key", "ok": true, "deleted": bool, "kept": {code, detail} | null}           settle
        {"key", "ok": true, "unmounted": bool}                                        unmount
        {"key", "ok": true, "trashed": bool, "foreign": bool}                         discard
        {"key", "ok": true, "purged": bool}                                           purge
        {"key", "ok": false, "error": {kind, code, detail, next_step?, retryable: bool}}
    {"id", "progress": [{"key", "bytes_done", "bytes_total", "phase": "copying" | "verifying"}]}
        at most four a second, only of items that take long; of many small files the one line has key null and sums
    {"id", "done": {"ok", "failed", "bytes", "elapsed_s", "cancelled": bool}}         always the last, or else
    {"id", "failed": {error payload}}  the job itself could not be read, or ``worker.died``; items without a result
        may be sent again as they are: every op is idempotent under its key

``verified`` is ``checksum`` (the bytes were read and have the sha256 in ``checksum``), ``size_mtime`` (left in place and no
checksum known) or ``simulated``. ``path`` is null where the source is not on this machine, ``uri`` is always there but for simulated.

``share`` is this process's part of the limits that a place has in its parameters.

Error codes of items: ``source.vanished``, ``source.changed`` (not what the catalogue says), ``source.changed_during_copy``
(retryable once), ``source.unreadable``, ``source.bad_path``, ``source.no_bytes``, ``source.bad_parameters``, ``source.rootdir_missing``,
``source.rootdir_not_allowed``, ``checksum_mismatch``, ``target.exists``, ``target.no_space``, ``target.not_writable``,
``target.trash_empty`` (nothing to restore), ``fuse.silent`` (what was mounted does not answer), ``cancelled``.

What is promised of a copy
- Under its final name there is the whole, verified file or nothing. Until then it has a temporary name
  ``.edgemere-<hash of key>.part`` beside it, by which a later attempt under the same key goes on after a crash; a small file has no
  name at all (``O_TMPFILE``), where the file system knows such files, and a crash leaves nothing of it.
- It never replaces a file. A file that is there already under this key (extended attribute ``user.edgemere.key``) with
  the right content is the result; anything else is ``target.exists``.
- An ok result is sent after the copy was read back and found equal to the source (or, a large file, to have the checksum that the
  catalogue knows of it), forced to the device (``fsync`` or ``syncfs``, which
  tell what could not be written), renamed, and the folder forced too. What is read back is the page cache: it shows that the right
  bytes were written, and says nothing of what the device makes of them. With ``verify: device`` large files (from 1 MiB) are forced
  out and dropped from the page cache before they are read back, so the device is what answers, where its file system honours that.
- The source is compared with what the catalogue says before, and with itself after. It is never written.

``mount`` makes a link below ``mounts`` to where the data lies on this machine, or to where FUSE shows what lies elsewhere (the package ``fuse`` beside
this one says how), never over something else (``target.exists``); without FUSE that gets neither path nor uri (``read_through``). ``settle`` takes
the mark off the copy and deletes at the source what was ``seen`` when it was copied; what changed since stays there (``kept``).

``discard`` moves a copy to ``.edgemere-trash/<key>`` under the target's root, at once; ``restore`` takes it back and verifies it; ``purge``
removes trash, part and copy for good. All three touch only what carries the key's mark, remove folders
that became empty below the root, and find nothing to do the second time (``trashed: false``, ``purged: false``, still ok;
``foreign: true`` says that something without the mark is at the path, and stays).
"""

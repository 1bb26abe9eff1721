"""``with do.data(query) as data``: ask, wait, verify, use, and give back. The request is freed however the block ends."""
from __future__ import annotations

import contextlib
import hashlib
import html
import io
import os
import sys
import tempfile
import time
import uuid
import warnings
from typing import Any
from collections.abc import Callable, Mapping

from .answers import Object, Page
from .connection import Server
from .errors import DeadlineExceeded, EdgemereError, Failed, NotLocal, NotVerified, told_here

VERIFY = ("size", "checksum", "nothing")
ENDS = ("Satisfied", "Failed", "Completed")
# How long one call waits for the end: long enough to cost no calls, short enough to show that it goes on.
_FIRST_WAIT_S = 2
_WAIT_S = 5
_CHUNK_BYTES = 1024 * 1024
_TABULAR = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}


class Data:
    """The data of one request. Outside a ``with`` block only ``plan()`` can be asked."""

    def __init__(self, do: Any, server: Server, parameters: "dict[str, Any]", timeout_s: "float | None", verify: str,
                 progress: "bool | Callable[[Any], None] | None") -> None:
        if verify not in VERIFY:
            raise ValueError(f"verify is one of {', '.join(VERIFY)}, not {verify!r}.")
        self._do, self._server, self._parameters = do, server, parameters
        self._timeout_s, self._verify, self._progress = timeout_s, verify, _Progress(progress)
        self._files = contextlib.ExitStack()
        self.request: "Object | None" = None
        self.instances: "list[Object]" = []

    def plan(self) -> Any:
        """What would happen: candidates, decisions, costs. Asks, and changes nothing."""
        return self._do.datarequest.plan(**self._parameters)

    def explain(self) -> Any:
        """What did happen, and why."""
        return self._do.datarequest.explain(id=self._asked().id)

    @property
    def access(self) -> "list[Object]":
        """How each data is read: ``{data, name, action, uri, path, size, checksum, media_type, verified}``, over all instances."""
        self._asked()
        return [entry for instance in self.instances for entry in instance.access or ()]

    @property
    def paths(self) -> "list[str]":
        """The path of each data on this machine, verified.

        Raises:
            NotLocal: one of them has none here.
        """
        return [self._path(entry) for entry in self.access]

    def open(self, which: "int | str" = 0, mode: str = "rb", encoding: "str | None" = None) -> Any:
        """A file with the bytes of one data: by its place in ``access``, or its name. Read through the server where it is not here.

        ``mode`` is ``rb`` or ``r``. It is closed at the end of the block at the latest.
        """
        if mode not in ("rb", "r", "rt"):
            raise ValueError("Data is opened for reading: with mode 'rb' or 'r'.")
        entry = self._entry(which)
        path = entry.get("path")
        raw: Any = open(path, "rb") if path and os.path.exists(path) else self._fetched(entry)  # noqa: SIM115
        self._files.callback(raw.close)
        return raw if mode == "rb" else io.TextIOWrapper(raw, encoding=encoding or "utf-8")

    def read(self, which: "int | str" = 0) -> bytes:
        """All bytes of one data."""
        with self.open(which) as file:
            return file.read()

    def dataframe(self, which: "int | str | None" = None, **options: Any) -> Any:
        """One data as a pandas DataFrame; without ``which`` all of them, one below the other.

        CSV, TSV, JSON, JSON lines and Parquet, by their names or media types; ``options`` go to pandas' reader.

        Raises:
            EdgemereError: ``client.no_pandas``, ``client.not_tabular`` or ``client.unreadable``.
        """
        try:
            import pandas
        except ImportError:
            raise told_here(EdgemereError, "client.no_pandas", "pandas is not installed.", "Install it: pip install 'edgemere[pandas]'") from None
        entries = self.access if which is None else [self._entry(which)]
        if not entries:
            raise told_here(EdgemereError, "client.no_data", "The request has no data.", "Look at data.explain().")
        frames = [self._frame(pandas, entry, options) for entry in entries]
        return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)

    def __len__(self) -> int:
        return len(self.access)

    def __enter__(self) -> "Data":
        if self.request is not None:
            raise RuntimeError("This data is in use already; ask for it anew with do.data(…).")
        began = time.monotonic()
        key = uuid.uuid4().hex
        try:
            self.request = self._do.datarequest.create(**self._parameters, wait_s=self._next_wait(began, _FIRST_WAIT_S), idempotency_key=key)
            while self.request.state not in ENDS:
                self._progress.show(self.request, self._instances if self._progress else list)
                if self._timeout_s is not None and time.monotonic() - began >= self._timeout_s:
                    raise told_here(DeadlineExceeded, "client.timeout", f"The data was not ready within {self._timeout_s:g} s: {self.request.message}",
                                    "Wait longer with timeout_s, or look why with explain.")
                self.request = self._waited(began)
            if self.request.state != "Satisfied":
                raise self._failure()
            self.instances = self._instances()
            for entry in self.access:
                self._check(entry)
        except BaseException:
            self._give_back(quietly=True)
            raise
        finally:
            self._progress.end()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._give_back(quietly=error is not None)

    def _waited(self, began: float) -> Object:
        """The request after a moment, or at once when it has ended."""
        end = time.monotonic() + self._next_wait(began, _WAIT_S)
        pause = 0.05
        while True:
            request = self._do.datarequest.show(id=self.request.id)
            if request.state in ENDS or time.monotonic() >= end:
                return request
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def _next_wait(self, began: float, most_s: float) -> float:
        if self._timeout_s is None:
            return most_s
        return max(0.0, min(most_s, self._timeout_s - (time.monotonic() - began)))

    def _instances(self) -> "list[Object]":
        page: Page = self._do.datainstance.list(request=self.request.id, limit=1000, sort="name")
        return list(page.everything())

    def _failure(self) -> EdgemereError:
        request = self.request
        reason = request.get("reason") or {}
        return Failed({"status": 0, "code": reason.get("code") or "client.failed", "detail": request.message or f"The request is {request.state}.",
                       "next_step": reason.get("next_step") or f"Look why with do.datarequest.explain('{request.name}').", "reason": reason}, request)

    def _give_back(self, quietly: bool) -> None:
        """Free what the request holds: complete it, or cancel it where it is still under way."""
        self._files.close()
        if self.request is None:
            return
        try:
            state = self.request.state
            if state not in ENDS:
                state = self._do.datarequest.show(id=self.request.id).state
            if state == "Satisfied":
                self.request = self._do.datarequest.complete(id=self.request.id)
            elif state not in ENDS:
                self.request = self._do.datarequest.cancel(id=self.request.id, because="The program no longer waits for it.")
        except EdgemereError as error:
            if not quietly:
                raise
            # The error of the block is the one that its reader needs.
            warnings.warn(f"The request {self.request.name} may still hold its data: {error}", stacklevel=3)

    def _asked(self) -> Object:
        if self.request is None:
            raise RuntimeError("The data is there inside the block: with do.data(…) as data: …")
        return self.request

    def _entry(self, which: "int | str") -> Object:
        entries = self.access
        if isinstance(which, str):
            found = [entry for entry in entries if which in (entry.name, entry.get("path"), (entry.get("data") or {}).get("id"))]
            if len(found) == 1:
                return found[0]
            raise KeyError(f"{len(found) or 'No'} data called {which!r}; there are: {', '.join(sorted({str(one.name) for one in entries})[:20])}.")
        try:
            return entries[which]
        except IndexError:
            raise IndexError(f"There is no data number {which}; there are {len(entries)}.") from None

    def _path(self, entry: Object) -> str:
        path = entry.get("path")
        if path and os.path.exists(path):
            return path
        raise told_here(NotLocal, "client.not_local", f"'{entry.name}' has no path on this machine; it is at {entry.get('uri')}.",
                        "Read it with data.open(…), or ask for it with action='copy' and a target on this machine.")

    def _check(self, entry: Object) -> None:
        path = entry.get("path")
        if self._verify == "nothing" or not path or entry.get("verified") == "simulated":
            return
        if not os.path.exists(path):
            # The server may be another machine: its paths are not ours.
            if self._server.url.startswith(("http://127.", "http://localhost", "http://[::1]")):
                raise _unlike(entry, "is not there")
            return
        if os.path.isdir(path):
            return
        size = os.path.getsize(path)
        if entry.get("size") is not None and size != entry.size:
            raise _unlike(entry, f"has {size} bytes instead of {entry.size}")
        if self._verify == "checksum" and str(entry.get("checksum") or "").startswith("sha256:"):
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
            if entry.checksum != f"sha256:{digest.hexdigest()}":
                raise _unlike(entry, "has another checksum")

    def _fetched(self, entry: Object) -> Any:
        """The bytes through the server, in a file that is gone when it is closed."""
        instance = next(one for one in self.instances if any(other is entry for other in one.access or ()))
        file = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with self._do.datainstance.content(id=instance.id, data=(entry.get("data") or {}).get("id")) as response:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
        except BaseException:
            file.close()
            raise
        if entry.get("size") is not None and file.tell() != entry.size:
            size = file.tell()
            file.close()
            raise _unlike(entry, f"came with {size} bytes instead of {entry.size}")
        file.seek(0)
        return file

    def _frame(self, pandas: Any, entry: Object, options: "Mapping[str, Any]") -> Any:
        kind = _TABULAR.get(os.path.splitext(str(entry.name).lower())[1]) or _of_media_type(str(entry.get("media_type") or ""))
        readers: "dict[str, Callable[[Any], Any]]" = {
            "csv": lambda file: pandas.read_csv(file, **options), "tsv": lambda file: pandas.read_csv(file, **{"sep": "\t", **options}),
            "json": lambda file: pandas.read_json(file, **options), "jsonl": lambda file: pandas.read_json(file, **{"lines": True, **options}),
            "parquet": lambda file: pandas.read_parquet(file, **options),
        }
        if kind not in readers:
            raise told_here(EdgemereError, "client.not_tabular", f"'{entry.name}' ({entry.get('media_type')}) is no CSV, TSV, JSON or Parquet.",
                            "Read it with data.open(…).")
        path = entry.get("path")
        try:
            if path and os.path.isfile(path):
                return readers[kind](path)
            with self._fetched(entry) as file:
                return readers[kind](file)
        except (ValueError, UnicodeError, OSError) as error:
            raise told_here(EdgemereError, "client.unreadable", f"'{entry.name}' cannot be read as {kind}: {error}",
                            "Read it with data.open(…), or give pandas' options.") from error

    def __repr__(self) -> str:
        if self.request is None:
            return f"<data for {self._parameters.get('query')!r}, not asked for yet>"
        return f"<{len(self.access)} data of {self.request.name}, {self.request.state}>"

    def _repr_html_(self) -> str:
        if self.request is None:
            return html.escape(repr(self))
        rows = "".join("<tr>" + "".join(f"<td style='text-align:left'>{html.escape(str(entry.get(name) if entry.get(name) is not None else ''))}</td>"
                                        for name in ("name", "size", "media_type", "action", "verified", "path")) + "</tr>" for entry in self.access[:50])
        return (f"<b>{html.escape(str(self.request.name))}</b> {html.escape(str(self.request.state))}: {html.escape(str(self.request.message or ''))}"
                f"<table><tr><th>name</th><th>size</th><th>media type</th><th>action</th><th>verified</th><th>path</th></tr>{rows}</table>")


class _Progress:
    """Shows how far a request is: to a function, as one line on a terminal, or in a notebook. Costs nothing where nobody looks."""

    def __init__(self, wanted: "bool | Callable[[Any], None] | None") -> None:
        self._tell = wanted if callable(wanted) else None
        self._line = self._tell is None and wanted is not False and (wanted is True or sys.stderr.isatty() or _in_notebook())
        self._began = time.monotonic()
        self._shown = 0

    def __bool__(self) -> bool:
        return self._line or self._tell is not None

    def show(self, request: Object, instances: "Callable[[], list[Object]]") -> None:
        if not self:
            return
        found = instances()
        done, total = (sum(one.get(name) or 0 for one in found) for name in ("bytes_done", "bytes_total"))
        state = Object(state=request.state, message=request.get("message"), instances=len(found), bytes_done=done, bytes_total=total,
                       seconds=round(time.monotonic() - self._began, 1))
        if self._tell:
            self._tell(state)
            return
        share = f", {done / 1e6:,.1f} of {total / 1e6:,.1f} MB" if total else ""
        text = f"{request.name}: {request.state}{share}, {state.seconds:.0f} s"
        print("\r" + text.ljust(self._shown), end="", file=sys.stderr, flush=True)
        self._shown = len(text)

    def end(self) -> None:
        if self._shown:
            print("\r" + " " * self._shown + "\r", end="", file=sys.stderr, flush=True)
            self._shown = 0


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None


def _of_media_type(media_type: str) -> str:
    return {"text/csv": "csv", "text/tab-separated-values": "tsv", "application/json": "json", "application/x-ndjson": "jsonl",
            "application/vnd.apache.parquet": "parquet"}.get(media_type.partition(";")[0].strip(), "")


def _unlike(entry: Object, what: str) -> EdgemereError:
    return told_here(NotVerified, "client.not_verified", f"'{entry.get('path') or entry.name}' {what}.",
                     "Scan its source, and ask for the data anew.")

"""The adaptor ``http``: what a listing of URLs names.

Parameters
- ``listing``: a list of URLs, or of ``{url, path?, name?, size?, type?, media_type?, checksum?, tags…}``; or ``listing_url``: where such a list is
  (JSON, YAML, a CSV with a column ``url``, or one URL a line).
- ``base_url``: what relative URLs start from; the path of an item is its URL without it, otherwise ``<host>/<path of the URL>``.

A scan asks for the head of each URL (size, type, ``Last-Modified``, ``ETag``), CONNECTIONS at a time. Reads ask for ranges.
Internal addresses are refused by the policy before any connection. Writes nothing.
"""
from __future__ import annotations

import email.utils
import io
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from shared.kernel.clock import stamp
from shared.kernel.errors import EdgemereError, Invalid, NotFound, Unavailable
from shared.sources.documents import LISTING_BYTES, BadDocument, csv_rows, read_yaml
from shared.sources.http_client import Client, judged
from shared.sources.listing import Described, bad_listing, load_value
from shared.sources.media import media_type
from shared.sources.paths import from_bytes, to_bytes
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.registry import bad_parameters, optional
from shared.sources.tags import BadTags, described, fingerprint, folder_tags

PARAMETERS = ("listing", "listing_url", "base_url")
TAKEN = ("type", "media_type", "checksum", "size")
CONNECTIONS = 8
URL_LIMIT = 100_000


def check(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """The parameters; addresses written out in them are judged, names are judged when they are resolved."""
    base = optional(parameters, "base_url", str, None)
    address = optional(parameters, "listing_url", str, None)
    listing = parameters.get("listing")
    if (listing is None) == (address is None):
        raise bad_parameters("listing", "and 'listing_url': exactly one of them is needed")
    for url in (base, address):
        if url is not None:
            judged(url, policy)
    kept = {name: value for name, value in (("base_url", base), ("listing_url", address)) if value is not None}
    if listing is not None:
        rows = load_value(listing, "of the source")
        if not isinstance(rows, list):
            raise bad_listing("of the source", "it is not a list of URLs or of {url, …}")
        known, problems = _gather(rows, base or "", policy)
        if rows and not known:
            raise bad_listing("of the source", problems[0].detail)
        kept["listing"] = rows
    return kept


def open_source(parameters: Mapping[str, Any], policy: SourcePolicy) -> HttpSource:
    return HttpSource(parameters, policy)


def _gather(rows: Iterable[Any], base: str, policy: SourcePolicy) -> tuple[dict[str, tuple[str, Described]], list[Problem]]:
    """``{path: (url, what the row says)}`` and what is wrong with other rows."""
    known: dict[str, tuple[str, Described]] = {}
    problems: list[Problem] = []
    for number, row in enumerate(rows, 1):
        if number > URL_LIMIT:
            raise bad_listing("of the source", f"it has more than {URL_LIMIT:,} rows")
        try:
            path, url, row_says = _row(row, base, policy)
            if path in known:
                raise BadTags("source.bad_row", f"has the path '{path}' of an earlier row")
            known[path] = (url, row_says)
        except (BadTags, EdgemereError) as error:
            if len(problems) < 10_000:
                problems.append(Problem(f"row {number}", "source.bad_row", f"Row {number} of the listing: {error.detail.rstrip('.')}."))
    return known, problems


def _row(row: Any, base: str, policy: SourcePolicy) -> tuple[str, str, Described]:
    row = {"url": row} if isinstance(row, str) else row
    if not isinstance(row, Mapping) or not isinstance(row.get("url"), str):
        raise BadTags("source.bad_row", "it is neither a URL nor an object with one")
    url = urljoin(base, row["url"])
    split = judged(url, policy)
    path = row.get("path")
    if path is None:
        inner = url[len(base):] if base and url.startswith(base) else f"{split.netloc}/{split.path.lstrip('/')}" + (
            f"?{split.query}" if split.query else "")
        path = from_bytes(unquote_to_bytes(inner.lstrip("/")))
    to_bytes(path)
    fields, tags = described({key: value for key, value in row.items() if key not in ("url", "path", "name")}, TAKEN)
    if row.get("name") is not None and isinstance(row["name"], str) and "\0" not in row["name"]:
        fields["name"] = row["name"]
    return path, url, Described(fields, tags)


class HttpSource:
    """A list of URLs. For several threads."""

    has_bytes = True
    writable = deletable = False

    def __init__(self, parameters: Mapping[str, Any], policy: SourcePolicy) -> None:
        self._parameters, self._policy = parameters, policy
        self._client = Client(policy)
        self._lock = threading.Lock()
        self._gathered: tuple[dict[str, tuple[str, Described]], list[Problem]] | None = None

    def close(self) -> None:
        self._client.close()

    def _listing(self) -> tuple[dict[str, tuple[str, Described]], list[Problem]]:
        with self._lock:
            if self._gathered is None:
                rows = self._parameters.get("listing")
                if rows is None:
                    rows = self._fetch_listing(self._parameters["listing_url"])
                base = self._parameters.get("base_url") or self._parameters.get("listing_url") or ""
                self._gathered = _gather(rows, base, self._policy)
            return self._gathered

    def _fetch_listing(self, url: str) -> list[Any]:
        response = self._client.request("GET", url)
        with response:
            text = response.read(LISTING_BYTES + 1)
        try:
            if len(text) > LISTING_BYTES:
                raise BadDocument(f"it is larger than {LISTING_BYTES:,} bytes")
            return _rows_of_text(text, urlsplit(url).path)
        except BadDocument as error:
            raise bad_listing(f"at '{url.partition('?')[0]}'", error) from None

    def scan(self) -> Iterator[Entry | Problem]:
        known, problems = self._listing()
        yield from problems
        waiting: queue.SimpleQueue[tuple[str, str, Described]] = queue.SimpleQueue()
        found: queue.Queue[Entry | Problem] = queue.Queue(maxsize=256)
        stopped = threading.Event()
        for path, (url, row) in known.items():
            waiting.put((path, url, row))

        def look() -> None:
            while not stopped.is_set():
                try:
                    one = waiting.get_nowait()
                except queue.Empty:
                    return
                item = self._entry(*one)
                while not stopped.is_set():
                    try:
                        found.put(item, timeout=0.5)
                        break
                    except queue.Full:
                        continue

        threads = [threading.Thread(target=look, daemon=True) for _ in range(min(CONNECTIONS, len(known)))]
        for thread in threads:
            thread.start()
        try:
            for _ in range(len(known)):
                yield found.get()
        finally:
            stopped.set()

    def _entry(self, path: str, url: str, row: Described) -> Entry | Problem:
        try:
            head = self._head(url)
        except EdgemereError as error:
            # What does not answer did not vanish; what is gone (404) is simply not an item.
            code = "source.vanished" if error.code == "source.vanished" else "source.unreachable"
            return Problem(path, code, error.detail)
        except Exception as error:
            return Problem(path, "source.unreachable", f"{type(error).__name__}: {error}"[:300])
        stat, served = head
        folder, _, name = path.rpartition("/")
        fields, tags = row.fields, {**folder_tags(folder), **row.tags}
        size = fields.get("size") if stat.size is None else stat.size
        media = fields.get("media_type") or served or media_type(name)
        kind, checksum, name = fields.get("type", "file"), fields.get("checksum"), fields.get("name", name)
        return Entry(path, name, kind, size, media, stat.modified_at, checksum, tags, url,
                     fingerprint(kind, size, stat.modified_at, stat.etag, media, checksum, tags, url, name))

    def _head(self, url: str) -> tuple[Stat, str | None]:
        try:
            with self._client.request("HEAD", url) as response:
                return _stat_of(response), _media_of(response)
        except EdgemereError as error:
            if error.code != "source.unreadable" or error.retryable:
                raise
        # Servers that sign each method, or know no HEAD, still answer a range.
        with self._client.request("GET", url, {"Range": "bytes=0-0"}) as response:
            return _stat_of(response), _media_of(response)

    def _url(self, path: str) -> str:
        to_bytes(path)
        found = self._listing()[0].get(path)
        if found is None:
            raise NotFound("source.vanished", f"The listing has no '{path}'.", next_step="Scan the source again.")
        return found[0]

    def stat(self, path: str) -> Stat:
        return self._head(self._url(path))[0]

    reachable = stat

    def locate(self, path: str) -> dict[str, str | None]:
        return {"uri": self._url(path), "path": None}

    def open(self, path: str, offset: int = 0) -> BinaryIO:
        return HttpStream(self._client, self._url(path), path, offset)  # type: ignore[return-value]

    def part(self, path: str, start: int, count: int, seen: Stat) -> BinaryIO:
        """As the port says."""
        stream = HttpStream(self._client, self._url(path), path, start, start + count)
        if not stream.stat.is_still(seen):
            stream.close()
            raise _changed(path)
        return stream  # type: ignore[return-value]


class HttpStream(io.RawIOBase):
    """The body of one URL from an offset on; goes on with a range when the connection breaks, if the server can tell that
    the bytes are still the same. ``stat`` is the whole item's; ``end`` is where it is to stop."""

    def __init__(self, client: Client, url: str, path: str, offset: int, end: int | None = None) -> None:
        self._client, self._url, self._path = client, url, path
        self._position, self._end = offset, end
        self._attempts = 3
        self._response, self.stat = self._ask(offset)

    def _ask(self, offset: int) -> tuple[Any, Stat]:
        headers = {"Range": f"bytes={offset}-{'' if self._end is None else self._end - 1}"} if offset or self._end is not None else {}
        try:
            response = self._client.request("GET", self._url, headers)
        except EdgemereError as error:
            if offset and "416" in error.detail:
                raise Invalid("source.changed", f"'{self._path}' is shorter than {offset:,} bytes now.") from None
            raise
        if offset and response.status != 206:
            # The server knows no ranges: what is not wanted is read over.
            left = offset
            while left and (piece := response.read(min(left, 1 << 20))):
                left -= len(piece)
        return response, _stat_of(response)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        """The next bytes. Raises Unavailable ``source.unreachable``."""
        if self._end is not None:
            # A server that knows no ranges sends more.
            buffer = memoryview(buffer)[:self._end - self._position]
        while True:
            try:
                count = self._response.readinto(buffer)
            except (OSError, ValueError) as error:
                count, why = 0, error
            except Exception as error:  # http.client.IncompleteRead and its kin
                count, why = 0, error
            else:
                why = None
            if count or not len(buffer):
                self._position += count
                return count
            if why is None and (self.stat.size is None or self._position >= (self._end or self.stat.size)):
                return 0
            self._again(why or "the connection ended early")

    def _again(self, why: object) -> None:
        self._attempts -= 1
        before = self.stat
        if self._attempts < 0 or not before.etag:
            raise Unavailable("source.unreachable", f"'{self._path}' broke off after {self._position:,} bytes: {why}.",
                              next_step="Retry; what was copied is kept.")
        self._response.close()
        self._response, now = self._ask(self._position)
        if now != before:
            raise _changed(self._path)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
        super().close()


def _changed(path: str) -> Unavailable:
    return Unavailable("source.changed_during_copy", f"'{path}' changed while it was read.", next_step="Scan the source again.")


def _stat_of(response: Any) -> Stat:
    headers = response.headers
    size: int | None = None
    if response.status == 206:
        total = (headers.get("Content-Range") or "").rpartition("/")[2]
        size = int(total) if total.isdigit() else None
    elif (headers.get("Content-Length") or "").isdigit() and not headers.get("Content-Encoding"):
        size = int(headers["Content-Length"])
    etag = headers.get("ETag")
    modified = None
    try:
        modified = stamp(email.utils.parsedate_to_datetime(headers["Last-Modified"])) if headers.get("Last-Modified") else None
    except (ValueError, TypeError, IndexError):
        pass
    return Stat(size, modified, etag=etag if etag and not etag.startswith("W/") else None)


def _media_of(response: Any) -> str | None:
    served = (headers := response.headers).get("Content-Type") and headers["Content-Type"].partition(";")[0].strip().lower()
    return served if served and "/" in served and served != "application/octet-stream" else None


def _rows_of_text(text: bytes, name: str) -> list[Any]:
    if name.endswith(".csv"):
        rows = [row for _, row in csv_rows(text, "url")]
    else:
        rows = read_yaml(text) if text.strip() else []
        if isinstance(rows, str):
            rows = [line for line in rows.split() if line]
    if not isinstance(rows, list):
        raise BadDocument("it is not a list of URLs or of {url, …}")
    return rows

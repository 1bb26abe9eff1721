"""The disk of the embedded broker: what durable queues hold, in one SQLite file. Decides nothing about delivery.

SQLite in WAL mode with ``synchronous=NORMAL``: a commit survives the death of the process at any moment; a power cut
may take the last commits, never the file. Which messages were given to a consumer is kept in a small mapped file
beside it, because a write to mapped memory survives the process as well and costs no transaction.
"""
from __future__ import annotations

import fcntl
import json
import mmap
import os
import sqlite3
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from shared.kernel.errors import Conflict, EdgemereError

MARK = struct.Struct("<Q")
MARKS_BYTES = 65536
ROOMY_PAGES = 16384

Row = tuple[int, str, str, bytes, bytes, float | None, int]
"""seq, exchange, routing key, properties, body, expiry (seconds since the epoch), times given back."""


def pack(properties: Mapping[str, Any]) -> bytes:
    """AMQP properties as they are stored."""
    try:
        return orjson.dumps(properties, default=_plain)
    except TypeError:
        return json.dumps(properties, default=_plain).encode()


def unpack(text: bytes) -> dict[str, Any]:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "surrogateescape")
    return str(value)


class Journal:
    """One file of durable queues, held by one process."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and take it for this process.

        Raises:
            Conflict: ``bus.in_use``, another process holds it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = self._taken(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=4000", "cache_size=-8000",
                       "temp_store=MEMORY", "journal_size_limit=67108864"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(
            "CREATE TABLE IF NOT EXISTS exchange (name TEXT PRIMARY KEY, kind TEXT NOT NULL, auto_delete INTEGER NOT NULL);"
            "CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arguments TEXT NOT NULL);"
            "CREATE TABLE IF NOT EXISTS binding (exchange TEXT NOT NULL, queue TEXT NOT NULL, key TEXT NOT NULL,"
            " PRIMARY KEY (exchange, queue, key));")
        self._shrink()
        self._marks_file = open(f"{path}.marks", "a+b")  # noqa: SIM115 - lives as long as the journal
        if os.fstat(self._marks_file.fileno()).st_size < MARKS_BYTES:
            os.ftruncate(self._marks_file.fileno(), MARKS_BYTES)
        self._marks = mmap.mmap(self._marks_file.fileno(), 0)

    @staticmethod
    def _taken(path: Path) -> Any:
        lock = open(f"{path}.lock", "a+b")  # noqa: SIM115 - the lock lives as long as the file is open
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise Conflict("bus.in_use", f"Another process uses the broker file {path}.",
                           next_step="Stop the other server, or choose another data folder.") from None
        return lock

    def _shrink(self) -> None:
        # A big backlog leaves a big file behind; it is given back when the broker opens, where nobody waits.
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        if pages > ROOMY_PAGES and free > pages // 2:
            self._db.execute("VACUUM")

    # --- topology ----------------------------------------------------------------------------------------------

    def exchanges(self) -> list[tuple[str, str, int]]:
        return self._db.execute("SELECT name, kind, auto_delete FROM exchange").fetchall()

    def queues(self) -> list[tuple[int, str, dict[str, Any]]]:
        rows = self._db.execute("SELECT id, name, arguments FROM queue").fetchall()
        return [(number, name, json.loads(arguments)) for number, name, arguments in rows]

    def bindings(self) -> list[tuple[str, str, str]]:
        return self._db.execute("SELECT exchange, queue, key FROM binding").fetchall()

    def add_exchange(self, name: str, kind: str, auto_delete: bool) -> None:
        self._db.execute("INSERT OR REPLACE INTO exchange VALUES (?, ?, ?)", (name, kind, int(auto_delete)))

    def drop_exchange(self, name: str) -> None:
        self._db.execute("DELETE FROM binding WHERE exchange = ?", (name,))
        self._db.execute("DELETE FROM exchange WHERE name = ?", (name,))

    def add_queue(self, name: str, arguments: Mapping[str, Any]) -> int:
        """Make the table of a queue; gives the queue's number."""
        with self._transaction():
            number = self._db.execute("INSERT INTO queue (name, arguments) VALUES (?, ?)",
                                      (name, json.dumps(dict(arguments)))).lastrowid
            self._db.execute(
                f"CREATE TABLE q{number} (seq INTEGER PRIMARY KEY, exchange TEXT NOT NULL, key TEXT NOT NULL,"
                " properties BLOB NOT NULL, body BLOB NOT NULL, expires REAL, returned INTEGER NOT NULL)")
        self._set_mark(number, 0)
        return number

    def drop_queue(self, number: int, name: str) -> None:
        with self._transaction():
            self._db.execute(f"DROP TABLE q{number}")
            self._db.execute("DELETE FROM binding WHERE queue = ?", (name,))
            self._db.execute("DELETE FROM queue WHERE id = ?", (number,))

    def add_binding(self, exchange: str, queue: str, key: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO binding VALUES (?, ?, ?)", (exchange, queue, key))

    def drop_binding(self, exchange: str, queue: str, key: str) -> None:
        self._db.execute("DELETE FROM binding WHERE exchange = ? AND queue = ? AND key = ?", (exchange, queue, key))

    # --- messages ----------------------------------------------------------------------------------------------

    def write(self, arrived: Mapping[int, list[Row]], gone: Mapping[int, Iterable[int]],
              returned: Mapping[int, Mapping[int, int]] | None = None) -> None:
        """One transaction: messages that arrived, that are done with, and how often they were given back.

        Raises:
            EdgemereError: ``bus.disk``, the disk refused; nothing was written.
        """
        try:
            with self._transaction():
                run = self._db.executemany
                for number, seqs in gone.items():
                    run(f"DELETE FROM q{number} WHERE seq = ?", [(seq,) for seq in seqs])
                for number, rows in arrived.items():
                    run(f"INSERT INTO q{number} VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                for number, counts in (returned or {}).items():
                    run(f"UPDATE q{number} SET returned = ? WHERE seq = ?", [(count, seq) for seq, count in counts.items()])
        except sqlite3.Error as error:
            raise EdgemereError("bus.disk", f"The broker cannot write {self.path}: {error}.",
                                next_step="Make room on the disk; what waits is sent then.") from error

    def read(self, number: int, after: int, limit: int, limit_bytes: int) -> list[Row]:
        """The next messages of a queue behind ``after``, in order: at least one, then up to either limit."""
        found, size = [], 0
        for row in self._db.execute(f"SELECT * FROM q{number} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)):
            found.append(row)
            size += len(row[4])
            if size >= limit_bytes:
                break
        return found

    def clear(self, number: int, after: int) -> None:
        """Drop every message of a queue behind ``after``."""
        self._db.execute(f"DELETE FROM q{number} WHERE seq > ?", (after,))

    def recover(self, number: int) -> tuple[int, int]:
        """Count what the queue holds and note what a process that died had been given; (messages, highest seq)."""
        mark = MARK.unpack_from(self._marks, self._place(number))[0]
        if mark:
            self._db.execute(f"UPDATE q{number} SET returned = returned + 1 WHERE seq <= ?", (mark,))
            self._set_mark(number, 0)
        count, highest = self._db.execute(f"SELECT count(*), max(seq) FROM q{number}").fetchone()
        return count, max(highest or 0, mark)

    def mark(self, number: int, seq: int) -> None:
        """Remember that every message up to ``seq`` has been given to a consumer."""
        MARK.pack_into(self._marks, self._place(number), seq)

    def close(self) -> None:
        self._db.close()
        self._marks.close()
        self._marks_file.close()
        self._lock.close()

    # --- inside ------------------------------------------------------------------------------------------------

    def _set_mark(self, number: int, seq: int) -> None:
        MARK.pack_into(self._marks, self._place(number), seq)

    def _place(self, number: int) -> int:
        place = number * MARK.size
        if place + MARK.size > len(self._marks):
            os.ftruncate(self._marks_file.fileno(), len(self._marks) * 2)
            self._marks.resize(len(self._marks) * 2)
            return self._place(number)
        return place

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """``BEGIN IMMEDIATE`` … ``COMMIT``, or ``ROLLBACK`` when the block raises."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            # Also after a COMMIT that the disk refused.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

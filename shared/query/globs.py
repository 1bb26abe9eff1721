"""Globs (``*`` any characters, ``?`` one character) as a test in memory and as patterns of each database.

None of them can take exponential time: the test looks for each piece between stars once, from the left.
"""
from __future__ import annotations

import re
from collections.abc import Callable

from shared.query.values import glob_pieces


def glob_test(pattern: str) -> Callable[[str], bool]:
    """A test whether a whole text matches ``pattern``; upper and lower case differ."""
    pieces = glob_pieces(pattern)
    if not any(None in piece for piece in pieces):
        words = ["".join(piece) for piece in pieces]
        if len(words) == 1:
            return words[0].__eq__
        first, last, middle = words[0], words[-1], [word for word in words[1:-1] if word]
        least = len(first) + len(last)
        if not middle:
            return lambda text: len(text) >= least and text.startswith(first) and text.endswith(last)
        if not first and not last and len(middle) == 1:
            return lambda text: middle[0] in text

        def in_order(text: str) -> bool:
            if len(text) < least or not text.startswith(first) or not text.endswith(last):
                return False
            at, end = len(first), len(text) - len(last)
            for word in middle:
                at = text.find(word, at, end)
                if at < 0:
                    return False
                at += len(word)
            return True
        return in_order
    tests = [re.compile("".join("." if char is None else re.escape(char) for char in piece), re.DOTALL) for piece in pieces]
    sizes = [len(piece) for piece in pieces]
    if len(tests) == 1:
        return lambda text: tests[0].fullmatch(text) is not None

    def pieces_in_order(text: str) -> bool:
        end = len(text) - sizes[-1]
        if end < sizes[0] or not tests[0].match(text) or not tests[-1].match(text, end):
            return False
        at = sizes[0]
        for test, size in zip(tests[1:-1], sizes[1:-1]):
            if not size:
                continue
            found = test.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True
    return pieces_in_order


def sqlite_glob(pattern: str) -> str:
    """``pattern`` for SQLite's GLOB, which takes literal characters in brackets."""
    def write(char: str | None) -> str:
        return "?" if char is None else f"[{char}]" if char in "*?[" else char
    return "*".join("".join(write(char) for char in piece) for piece in glob_pieces(pattern))


def sql_like(pattern: str) -> str:
    """``pattern`` for LIKE with the escape character backslash."""
    def write(char: str | None) -> str:
        return "_" if char is None else f"\\{char}" if char in "%_\\" else char
    return "%".join("".join(write(char) for char in piece) for piece in glob_pieces(pattern))


def glob_prefix(pattern: str) -> str:
    """The literal characters that every match begins with."""
    prefix = []
    for char in glob_pieces(pattern)[0]:
        if char is None:
            break
        prefix.append(char)
    return "".join(prefix)

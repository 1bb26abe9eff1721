"""The files of this project as they lie in the tree, without what tools and runs leave there."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = {"__pycache__", "node_modules", "build", "dist"}
_DOT_FOLDERS_OF_OURS = {".ci"}
_FILES_LEFT_OUT = {".git"}  # a file, not a folder, in a second work tree
CODE = ("gateway", "services", "shared")


def project_files() -> Iterator[Path]:
    """Every file of the project, relative to its root."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders
            if name not in _LEFT_OUT and (not name.startswith(".") or name in _DOT_FOLDERS_OF_OURS)
        )
        for name in sorted(set(files) - _FILES_LEFT_OUT):
            yield (Path(folder) / name).relative_to(ROOT)


def modules(*roots: str) -> list[Path]:
    """The Python files under ``roots`` (default: the product's code and the tests)."""
    return [path for path in project_files() if path.suffix == ".py" and path.parts[0] in (roots or (*CODE, "tests"))]

"""The folders of the demo: real open data copied out of the wheel that brings it, and a folder that takes copies."""
from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from gateway.cli.exits import FAILED, Failure

HERE = Path(__file__).parent
ARCHIVE = HERE / "archive.yaml"


def default_folder() -> Path:
    """Where the demo keeps its things when no folder is named: beside the user's own data folder, not in it."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "edgemere-demo"
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "edgemere-demo"


def lay_out(folder: Path) -> tuple[Path, Path, Path]:
    """Make what is missing and give the folders: the server's state, the data sets, the place for copies.

    Raises:
        Failure: the data sets are not installed, or the folder cannot be written.
    """
    state, sets, results = folder / "state", folder / "vega", folder / "results"
    try:
        for path in (folder, sets, results):
            path.mkdir(parents=True, exist_ok=True)
        for origin in sorted(_wheel().iterdir()):
            if origin.suffix in (".csv", ".json"):
                _copy(origin, sets / origin.name)
        _copy(HERE / "vega.yaml", sets / "datasource.yaml")
    except OSError as error:
        raise Failure(FAILED, {"code": "demo.folder", "detail": f"The demo's folder {folder} cannot be written: {error.strerror or error}.",
                               "next_step": "Name another with --data."}) from None
    return state, sets, results


def _wheel() -> Path:
    """The folder with the data sets; found without importing the package, which would need pandas."""
    found = importlib.util.find_spec("vega_datasets")
    folder = Path(found.origin).parent / "_data" if found and found.origin else None
    if folder is None or not folder.is_dir():
        raise Failure(FAILED, {"code": "demo.no_data", "detail": "The open data sets of the demo are not installed.",
                               "next_step": "Start it with ./edgemere demo, which installs them."})
    return folder


def _copy(origin: Path, target: Path) -> None:
    """Copy a file that is not there yet or is another; one that is the same keeps its time, so a scan finds nothing new."""
    if not target.exists() or target.read_bytes() != origin.read_bytes():
        partly = target.with_name(f".{target.name}.new")
        shutil.copyfile(origin, partly)
        os.replace(partly, target)

"""The archive of a folder that is one Data: what tar reads, the same each time, readable from anywhere on, and never half of two states."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from shared.kernel.errors import Conflict
from shared.sources.file import FileSource, open_source
from shared.sources.folder_archive import FolderArchive
from shared.sources.port import SourcePolicy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lab" / "day.zarr"
    (made / "0").mkdir(parents=True)
    (made / ".zarray").write_bytes(b"{}")
    (made / "0/large").write_bytes(os.urandom(1 << 20))
    (made / "0/empty").write_bytes(b"")
    (made / "0/block").write_bytes(b"x" * 512)
    (made / ("long" * 50)).write_bytes(b"a long name")
    (made / "für").write_bytes(b"a name beyond ASCII")
    Path(os.fsdecode(os.fsencode(made) + b"/caf\xe9")).write_bytes(b"a name that is no text")
    (made / "link").symlink_to("/etc/passwd")
    return made


def opened(folder: Path) -> FileSource:
    return open_source({"rootdir": str(folder.parent)}, SourcePolicy())


def whole(root: FileSource, offset: int = 0) -> bytes:
    with FolderArchive(root, "day.zarr") as stream:
        stream.seek(offset)
        return stream.read()


def listing(folder: Path) -> str:
    return subprocess.run("find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum", shell=True, cwd=folder, check=True,
                          capture_output=True).stdout


def test_tar_unpacks_the_files_of_the_folder_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    root = opened(folder)
    packed = whole(root)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-x", "-C", tmp_path / "out"], input=packed, check=True)
    assert listing(tmp_path / "out/day.zarr") == listing(folder)
    assert os.listdir(tmp_path / "out") == ["day.zarr"] and not (tmp_path / "out/day.zarr/link").is_symlink()
    assert int(os.stat(tmp_path / "out/day.zarr/.zarray").st_mtime) == int(os.stat(folder / ".zarray").st_mtime)
    assert FolderArchive(root, "day.zarr").size == len(packed)


def test_it_is_the_same_each_time_and_can_be_read_from_anywhere_on(folder: Path) -> None:
    root = opened(folder)
    packed = whole(root)
    for offset in (0, 1, 511, 512, 513, 1024, 1500, 700_001, len(packed) - 10_000, len(packed) - 1, len(packed), len(packed) + 5):
        assert whole(root, offset) == packed[offset:], offset


def test_a_file_that_changes_while_it_is_read_ends_the_reading(folder: Path) -> None:
    archive = FolderArchive(opened(folder), "day.zarr")
    archive.read(10)
    (folder / "0/large").write_bytes(b"another content")
    with pytest.raises(Conflict, match="changed while its folder was read"):
        archive.read()

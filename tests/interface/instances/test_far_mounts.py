"""What is mounted by FUSE on this machine, held against what the database says of it."""
from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import update

from services.instances import far_mounts
from services.instances.fuse.keeper import Keeper
from services.instances.models import access_table
from services.instances.moving import Movers
from tests.interface.instances.test_lifetimes import World, pool, world  # noqa: F401


def test_what_is_mounted_for_nobody_is_taken_away_and_nothing_else(world: World, tmp_path: Path) -> None:  # noqa: F811
    keeper = Keeper([], tmp_path / "fuse", "never", {}, 1)
    world.uses.parts["movers"] = Movers(world.pool, {}, str(tmp_path / "mounts"), keeper)
    keeper.table.make()
    made = world.instance("kept")
    with world.uses.db.transaction() as uow:
        uow.connection.execute(update(access_table).values(action="mount", target_id=None))
        data = uow.connection.execute(access_table.select()).mappings().one()["data_id"]

    def mounted(key: str, age_s: int) -> Path:
        described = {"key": key, "name": "x", "source": "s", "adaptor": "fsspec", "parameters": {}, "path": "x", "kind": "file", "stat": {"size": 1},
                     "mount_path": f"{key.partition(':')[0]}-0/x"}
        keeper.table.write(described)
        for file in keeper.table.folder.glob("table/*.json"):
            if key in file.read_text():
                os.utime(file, (file.stat().st_mtime - age_s,) * 2)
        link = tmp_path / "mounts" / described["mount_path"]
        link.parent.mkdir(parents=True)
        link.symlink_to(keeper.table.place_of(described))
        return link
    kept, dark, young = mounted(f"{made['id']}:{data}", 3600), mounted("dins_dark:data_1", 3600), mounted("dins_young:data_1", 1)
    far_mounts.forget_orphans(world.uses, keeper.table)
    assert kept.is_symlink() and young.is_symlink() and not dark.parent.exists()
    assert len(list(keeper.table.ids())) == 2
    with world.uses.db.transaction() as uow:
        uow.connection.execute(update(access_table).values(state="purged"))
    far_mounts.forget_orphans(world.uses, keeper.table)
    assert not kept.is_symlink() and young.is_symlink() and len(list(keeper.table.ids())) == 1

"""Real folders, scanned by the real worker: what is added, changed, vanished and named."""
from __future__ import annotations

import functools
import os
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import update

from services.catalog import claims, handlers, models, repository, scans
from shared.kernel import clock
from shared.kernel.errors import Invalid
from tests.interface.catalog.world import Catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "raw").mkdir(parents=True)
    for number in range(5):
        (root / "raw" / f"f{number}.csv").write_text("x" * number)
    (root / "raw" / "f1.csv.meta.yaml").write_text("owner: darren\nkeys: [a, b]\n")
    return root


def test_every_file_becomes_a_data(catalogue: Catalogue, folder: Path) -> None:
    source = catalogue.folder(folder)
    scan = source["scan"]
    assert (scan["state"], scan["files"], scan["added"], scan["bytes"], scan["problem_count"]) == ("done", 5, 5, 10, 0)
    assert (source["data_count"], source["data_bytes"], source["state"]) == (5, 10, "Ready")
    item, = catalogue.call("query", expression="owner:darren keys:b")["items"]
    assert (item["path"], item["size"], item["media_type"]) == ("raw/f1.csv", 1, "text/csv")
    assert item["uri"] == (folder / "raw" / "f1.csv").as_uri()


def test_creating_answers_at_once_and_says_how_it_went(catalogue: Catalogue, folder: Path) -> None:
    made = catalogue.call("datasource_create", name="lab", adaptor="file", parameters={"rootdir": str(folder)})
    assert made["state"] == "Ready" and made["scan"]["state"] == "running" and made["scan"]["id"].startswith("scan_")
    catalogue.scanned("lab")
    said = catalogue.messages()
    assert [message["name"] for message in said[:2]] == ["datasource.create", "datasource.ready"]
    assert [message["name"] for message in said].count("data.create") == 5
    last = [message for message in said if message["name"] == "datasource.updated"][-1]
    assert last["obj"]["scan"]["state"] == "done" and last["obj"]["data_count"] == 5
    freed, = [message for message in said if message["name"] == "capacity.freed"]
    assert freed["obj"]["why"] == "data added"


def test_a_second_scan_says_only_what_is_different(catalogue: Catalogue, folder: Path) -> None:
    catalogue.folder(folder)
    before = {item["path"]: item for item in catalogue.call("data_list")["items"]}
    catalogue.messages()
    scan = catalogue.rescan("lab")
    assert (scan["files"], scan["added"], scan["changed"], scan["vanished"]) == (5, 0, 0, 0)
    assert not [message for message in catalogue.messages() if message["name"].startswith(("data.", "capacity."))]
    (folder / "raw" / "f0.csv").unlink()
    (folder / "raw" / "f2.csv").write_text("longer now")
    (folder / "raw" / "f1.csv.meta.yaml").write_text("owner: ada\n")
    (folder / "new.txt").write_text("n")
    scan = catalogue.rescan("lab")
    assert (scan["added"], scan["changed"], scan["vanished"]) == (1, 2, 1)
    said = {(message["name"], message["obj"]["path"]): message for message in catalogue.messages() if message["name"].startswith("data.")}
    assert set(said) == {("data.create", "new.txt"), ("data.updated", "raw/f2.csv"), ("data.updated", "raw/f1.csv"),
                         ("data.destroy", "raw/f0.csv")}
    changed = said["data.updated", "raw/f2.csv"]
    assert changed["obj"]["version"] == before["raw/f2.csv"]["version"] + 1 and "size" in changed["changed"]
    assert catalogue.found("owner:darren") == [] and catalogue.found("owner:ada") == ["raw/f1.csv"]
    shown = catalogue.call("datasource_show", id="lab")
    assert (shown["data_count"], shown["data_bytes"]) == (5, 1 + 10 + 3 + 4 + 1)


def test_a_file_that_comes_back_is_the_same_data(catalogue: Catalogue, folder: Path) -> None:
    catalogue.folder(folder)
    before = catalogue.call("data_show", id="f1.csv")
    (folder / "raw" / "f1.csv").rename(folder.parent / "aside")
    assert catalogue.rescan("lab")["vanished"] == 1
    assert catalogue.found("owner:darren") == []
    (folder.parent / "aside").rename(folder / "raw" / "f1.csv")
    assert catalogue.rescan("lab")["added"] == 1
    after = catalogue.call("data_show", id="f1.csv")
    assert after["id"] == before["id"] and after["version"] > before["version"] and "destroyed_at" not in after
    assert catalogue.found("owner:darren") == ["raw/f1.csv"]


def test_what_vanished_is_said_whatever_is_claimed(catalogue: Catalogue, folder: Path) -> None:
    source = catalogue.folder(folder)
    one = catalogue.call("data_show", id="f3.csv")
    catalogue.claim(source, "c1", data=one["id"])
    (folder / "raw" / "f3.csv").unlink()
    catalogue.messages()
    catalogue.rescan("lab")
    gone, = catalogue.messages("data.destroy")
    assert gone["obj"]["id"] == one["id"]
    claims.release(catalogue.uses, ids=["c1"])


def test_what_was_registered_by_hand_does_not_vanish_and_is_taken_over(catalogue: Catalogue, folder: Path) -> None:
    catalogue.folder(folder)
    made = catalogue.call("data_create", source="lab", path="raw/later.csv", size=99)
    assert catalogue.rescan("lab")["vanished"] == 0
    (folder / "raw" / "later.csv").write_text("now")
    assert catalogue.rescan("lab")["changed"] == 1
    shown = catalogue.call("data_show", id=made["id"])
    assert shown["size"] == 3
    (folder / "raw" / "later.csv").unlink()
    assert catalogue.rescan("lab")["vanished"] == 1


def test_names_that_people_do_not_expect_are_kept(catalogue: Catalogue, folder: Path) -> None:
    odd = [b"with space", b"quo'te\"s", b"new\nline", "smørbrød.csv".encode(), b"caf\xe9.txt", b"back\\slash", b"x" * 255]
    for name in odd:
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"1")
    source = catalogue.folder(folder)
    assert source["data_count"] == 5 + len(odd) and source["scan"]["problem_count"] == 0
    assert catalogue.call("data_find", attr1={"name": "new\nline"})["total"] == 1
    assert catalogue.call("data_find", attr1={"path": "caf\\xe9.txt"})["items"][0]["uri"].endswith("/caf%E9.txt")
    assert catalogue.rescan("lab")["changed"] == 0


def test_what_cannot_be_used_is_named_and_the_rest_stays(catalogue: Catalogue, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "raw" / "f2.csv.meta.yaml").write_text("owner: [unclosed\n")
    scan = catalogue.folder(folder)["scan"]
    named = {problem["path"]: problem["code"] for problem in scan["problems"]}
    assert named.keys() >= {"link", "pipe"} and scan["problem_count"] == 3
    assert scan["state"] == "done" and scan["files"] == 5 and "`problems` names them" in scan["message"]


def test_a_file_with_too_many_tags_does_not_stop_the_scan(catalogue: Catalogue, folder: Path) -> None:
    (folder / "raw" / "f1.csv.meta.json").write_text("{" + ",".join(f'"t{n}":{n}' for n in range(200_000)) + "}")
    source = catalogue.folder(folder)
    assert source["scan"]["state"] == "done" and source["scan"]["problem_count"] >= 1
    assert source["data_count"] == 5


UNREADABLE = """
from shared.hosting.worker_loop import Lane, serve

def scan(job):
    found = [{"path": "raw/", "code": "source.unreadable", "detail": "Permission denied."}]
    job.send(problems=found)
    counts = {"source.unreadable": %d}
    job.send(done={"files": 0, "bytes": 0, "problems": counts["source.unreadable"], "problem_codes": counts, "cancelled": False})

serve({"scan": (Lane(1), scan)})
"""


@pytest.mark.parametrize(("unreadable", "vanished"), [(1, 1), (2, 0)])
def test_what_cannot_be_read_did_not_vanish(catalogue: Catalogue, folder: Path, unreadable: int, vanished: int) -> None:
    (folder / "beside.txt").write_text("b")
    catalogue.folder(folder)
    # Root reads everything, so the worker that cannot is a script; a second folder that is only counted may hold anything.
    with catalogue.worker([sys.executable, "-c", UNREADABLE % unreadable]):
        scan = catalogue.rescan("lab")
    assert (scan["state"], scan["vanished"], scan["problem_count"]) == ("done", vanished, unreadable)
    assert catalogue.call("data_list", attr1="path:raw/*")["total"] == 5


def test_a_folder_that_is_gone_fails_the_scan_and_takes_nothing_away(catalogue: Catalogue, folder: Path) -> None:
    catalogue.folder(folder)
    folder.rename(folder.parent / "elsewhere")
    scan = catalogue.rescan("lab")
    assert scan["state"] == "failed" and scan["problems"][0]["code"] == "source.rootdir_missing" and scan["message"]
    assert catalogue.call("data_list")["total"] == 5
    (folder.parent / "elsewhere").rename(folder)
    assert catalogue.rescan("lab")["state"] == "done"


def test_one_scan_at_a_time(catalogue: Catalogue, folder: Path) -> None:
    source = catalogue.folder(folder)
    with catalogue.db.transaction() as uow:
        row = uow.get(models.SOURCE, source["id"])
        _, scan = scans.begin(catalogue.uses, uow, row)
    assert scan is not None
    assert catalogue.call("datasource_scan", id="lab")["scan"]["id"] == scan["id"]
    cancelled = scans.cancel(catalogue.uses, scan["id"])
    assert cancelled["scan"]["state"] == "cancelled"
    scans.run(catalogue.uses, scan)
    assert catalogue.call("datasource_show", id="lab")["scan"]["state"] == "cancelled"
    assert scans.cancel(catalogue.uses, "scan_gone") == {"scan": None}


def test_a_scan_whose_process_died_is_taken_up_again(catalogue: Catalogue, folder: Path) -> None:
    source = catalogue.folder(folder)
    (folder / "new.txt").write_text("n")
    (folder / "raw" / "f0.csv").unlink()
    with catalogue.db.transaction() as uow:
        _, scan = scans.begin(catalogue.uses, uow, uow.get(models.SOURCE, source["id"]))
        uow.connection.execute(update(models.scan_table).values(holder="another", until=clock.stamp_in(-1)))
    assert scan is not None
    catalogue.run_again(scan["id"])
    again = catalogue.scanned("lab")["scan"]
    assert (again["id"], again["state"], again["added"], again["vanished"]) == (scan["id"], "done", 1, 1)
    assert scans.resume(catalogue.uses) == []


def test_a_worker_that_dies_is_replaced_and_the_scan_goes_on(catalogue: Catalogue, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(3000):
        (root / f"f{number}").touch()
    catalogue.call("datasource_create", name="lab", adaptor="file", parameters={"rootdir": str(root)})
    until = time.monotonic() + 120
    while not catalogue.call("datasource_show", id="lab")["data_count"] and time.monotonic() < until:
        time.sleep(0.01)
    for pid in catalogue.pool.pids():
        os.kill(pid, 9)
    source = catalogue.scanned("lab")
    assert source["scan"]["state"] == "done" and source["data_count"] == 3000 and source["scan"]["files"] == 3000


def test_a_destroyed_source_ends_its_scan(catalogue: Catalogue, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(3000):
        (root / f"f{number}").touch()
    made = catalogue.call("datasource_create", name="lab", adaptor="file", parameters={"rootdir": str(root)})
    catalogue.call("datasource_destroy", id="lab")
    assert catalogue.call("data_list")["total"] == 0
    with catalogue.db.reading() as connection:
        assert repository.scan_row(connection, made["scan"]["id"])["state"] in ("cancelled", "done")
    assert catalogue.messages("datasource.destroy")


def test_progress_is_said_at_most_twice_a_second(catalogue: Catalogue, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(3000):
        (root / f"f{number}").touch()
    began = time.monotonic()
    catalogue.folder(root)
    took = time.monotonic() - began
    said = catalogue.messages("datasource.updated")
    assert 1 <= len(said) <= took / scans.SAID_EVERY_S + 2


def test_a_simulated_source_is_made_of_its_listing(catalogue: Catalogue) -> None:
    catalogue.call("datasource_simulate", name="archive", listing=(
        "scans/a.nii: {type: file, size: 1024, tags: {owner: darren}}\nscans/b.nii: {size: many}\n"))
    source = catalogue.scanned("archive")
    assert (source["adaptor"], source["data_count"], source["scan"]["problem_count"]) == ("simulated", 1, 1)
    assert "scans/b.nii" in source["scan"]["problems"][0]["path"] and source["parameters"] == {}
    item, = catalogue.call("query", expression="owner:darren")["items"]
    assert (item["uri"], item["size"]) == ("simulated://archive/scans/a.nii", 1024)
    assert catalogue.rescan("archive")["changed"] == 0


def test_what_a_web_server_lists_is_data_with_its_address(catalogue: Catalogue, folder: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SimpleHTTPRequestHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    try:
        catalogue.call("datasource_create", name="web", adaptor="http", parameters={
            "base_url": base, "listing": ["raw/f3.csv", {"url": "raw/f4.csv", "tags": {"owner": "darren"}}, "raw/gone.csv"]})
        source = catalogue.scanned("web")
    finally:
        server.shutdown()
        server.server_close()
    assert (source["scan"]["state"], source["data_count"], source["scan"]["problem_count"]) == ("done", 2, 1)
    assert source["parameters"] == {"base_url": base}
    item, = catalogue.call("query", expression="owner:darren")["items"]
    assert (item["uri"], item["size"]) == (base + "raw/f4.csv", 4)
    assert len(handlers.sources(catalogue.uses, [source["id"]])[source["id"]]["parameters"]["listing"]) == 3


def test_a_number_of_a_listing_that_json_cannot_hold_is_named_with_its_row(catalogue: Catalogue) -> None:
    for number in (".nan", "-.inf", "1e400", "1" + "0" * 400):
        with pytest.raises(Invalid) as refusal:
            catalogue.call("datasource_simulate", name="archive", listing=f"a.csv: {{size: 1}}\nb.csv: {{size: 1, tags: {{deep: [{number}]}}}}\n")
        assert refusal.value.code == "source.bad_listing" and "'b.csv'" in refusal.value.detail
    catalogue.call("datasource_simulate", name="archive", listing="a.csv: {size: 1, tags: {n: 12345678901234567890123, small: 1e-3}}\n")
    catalogue.scanned("archive")
    item, = catalogue.call("query", expression="small<0.01")["items"]
    assert item["tags"] == {"n": 12345678901234567890123.0, "small": 0.001}


@pytest.mark.parametrize("listing", ["{unclosed", "just words", "&a [*a]"])
def test_a_listing_that_cannot_be_read_is_refused_whole(catalogue: Catalogue, listing: str) -> None:
    with pytest.raises(Invalid) as refusal:
        catalogue.call("datasource_simulate", name="archive", listing=listing)
    assert refusal.value.code == "source.bad_listing" and refusal.value.errors[0]["pointer"] == "/listing"
    assert catalogue.call("datasource_list")["total"] == 0


def test_a_start_looks_at_what_changed_meanwhile_and_leaves_alone_what_was_registered_since(catalogue: Catalogue, folder: Path) -> None:
    registered = catalogue.folder(folder)["scan"]["id"]
    (folder / "new.txt").write_text("n")
    handlers.sweep(catalogue.uses)
    assert catalogue.scanned("lab")["scan"]["id"] == registered, "nobody asked for a scan, and nobody was away"
    began_anew_after_a_while(catalogue)
    handlers.sweep(catalogue.uses)
    scanned = catalogue.scanned("lab")["scan"]
    assert scanned["added"] == 1
    handlers.sweep(catalogue.uses)
    assert catalogue.scanned("lab")["scan"]["id"] == scanned["id"]


def began_anew_after_a_while(catalogue: Catalogue) -> None:
    """The service is another process, and the one before was gone for long enough that nobody believes it alive."""
    scans.this_process.cache_clear()
    catalogue.uses.began = clock.stamp()
    with catalogue.db.transaction() as uow:
        uow.connection.execute(update(models.METADATA.tables["lease"]).values(until=clock.stamp_in(-1)))

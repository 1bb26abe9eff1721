"""Sources: what is refused before anything is made, the net, and what stands in the way of an end."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.catalog import data, handlers
from shared.kernel.errors import Conflict, EdgemereError, Invalid, NotFound
from tests.interface.catalog.world import Catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    (root / "a.csv").write_text("1,2")
    return root


def nothing_was_made(catalogue: Catalogue) -> bool:
    return catalogue.call("datasource_list")["total"] == 0 and catalogue.messages() == []


@pytest.mark.parametrize(("given", "code", "pointer"), [
    ({"adaptor": "fiel"}, "source.unknown_adaptor", "/adaptor"),
    ({"parameters": {}}, "source.bad_parameters", "/parameters/rootdir"),
    ({"parameters": {"rootdir": "/no/such/folder"}}, "source.rootdir_missing", "/parameters/rootdir"),
    ({"parameters": {"rootdir": "relative"}}, "source.bad_parameters", "/parameters/rootdir"),
    ({"parameters": {"rootdir": "/tmp\0x"}}, "parameter.invalid", "/parameters/rootdir"),
    ({"parameters": {"rootdir": "/tmp", "rotdir": "x"}}, "source.bad_parameters", "/parameters/rotdir"),
    ({"parameters": {"rootdir": "/tmp", "password": "hunter2"}}, "source.bad_parameters", "/parameters/password"),
    ({"parameters": {"rootdir": "/tmp", "deep": {"api_key": "hunter2"}}}, "source.bad_parameters", "/parameters/deep/api_key"),
    ({"parameters": {"url": "https://ada:hunter2@host/x"}}, "source.bad_parameters", "/parameters/url"),
    ({"capacity": {"byts": 1}}, "parameter.invalid", "/capacity/byts"),
    ({"capacity": {"bytes": -1}}, "parameter.invalid", "/capacity/bytes"),
    ({"capacity": {"readers": True}}, "parameter.invalid", "/capacity/readers"),
    ({"cost": {"latency": 1}}, "parameter.invalid", "/cost/latency"),
    ({"cost": {"latency_ms": "1"}}, "parameter.invalid", "/cost/latency_ms"),
    ({"tags": {"a": "b\0"}}, "parameter.invalid", "/tags/a"),
    ({"tags": {"many": list(range(20_000))}}, "parameter.invalid", "/tags"),
    ({"location": "\0"}, "parameter.invalid", "/location"),
    ({"name": "two\nlines"}, "parameter.invalid", "/name"),
])
def test_what_cannot_be_used_is_refused_before_anything_is_made(
        catalogue: Catalogue, folder: Path, given: dict, code: str, pointer: str) -> None:
    asked = {"name": "lab", "adaptor": "file", "parameters": {"rootdir": str(folder)}, **given}
    with pytest.raises(Invalid) as refusal:
        catalogue.call("datasource_create", **asked)
    assert refusal.value.code == code
    assert refusal.value.errors[0]["pointer"] == pointer
    assert "hunter2" not in str(refusal.value.payload())
    assert nothing_was_made(catalogue)


def test_the_nearest_member_is_named(catalogue: Catalogue, folder: Path) -> None:
    with pytest.raises(Invalid, match="Did you mean 'bytes'"):
        catalogue.call("datasource_create", name="lab", adaptor="file", parameters={"rootdir": str(folder)}, capacity={"byts": 1})


def test_a_folder_that_holds_the_orchestrators_own_data_is_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    for root in (tmp_path / "home", tmp_path):
        with pytest.raises(EdgemereError) as refusal:
            catalogue.call("datasource_create", name="own", adaptor="file", parameters={"rootdir": str(root)})
        assert refusal.value.code == "source.rootdir_not_allowed"
    assert nothing_was_made(catalogue)


def test_outside_the_allowed_roots_is_refused_also_through_a_link(fresh_database: Callable[[], str], tmp_path: Path, folder: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "way-out").symlink_to(folder)
    catalogue = Catalogue(fresh_database(), tmp_path / "home", **{"sources.allowed_roots": [str(allowed)]})
    for root in (folder, allowed / "way-out", f"{allowed}/../data"):
        with pytest.raises(EdgemereError) as refusal:
            catalogue.call("datasource_create", name="out", adaptor="file", parameters={"rootdir": str(root)})
        assert refusal.value.code == "source.rootdir_not_allowed"
    assert nothing_was_made(catalogue)
    catalogue.close()


def test_two_sources_of_one_name_are_refused_and_one_folder_twice_is_not(catalogue: Catalogue, folder: Path) -> None:
    catalogue.folder(folder)
    with pytest.raises(Conflict) as refusal:
        catalogue.folder(folder)
    assert refusal.value.code == "datasource.name_taken" and refusal.value.errors == [
        {"pointer": "/name", "detail": "This name is taken."}]
    catalogue.folder(folder, "lab-again")
    assert catalogue.found("name:a.csv") == ["a.csv", "a.csv"]


def test_a_reference_to_a_secret_is_kept_and_never_shown(catalogue: Catalogue) -> None:
    from services.catalog import rules
    rules.check_secrets({"password": "${ENV:LAB_PASSWORD}", "token": {"secret": "LAB"}, "deep": [{"api_key": None}]})
    for bad in ({"password": "x"}, {"credentials": {"user": "a"}}, {"deep": [{"secret": ["x"]}]}):
        with pytest.raises(Invalid):
            rules.check_secrets(bad)


def test_the_net_is_kept_and_says_what_is_legal(catalogue: Catalogue) -> None:
    catalogue.source()
    catalogue.call("datasource_suspend", id="lab")
    with pytest.raises(Conflict) as refusal:
        catalogue.call("datasource_suspend", id="lab")
    assert refusal.value.code == "datasource.illegal_move"
    assert [way["event"] for way in refusal.value.extra["legal"]] == ["resume", "shutdown"]
    with pytest.raises(Conflict, match="datasource.not_ready"):
        catalogue.call("datasource_scan", id="lab")
    catalogue.call("datasource_shutdown", id="lab")
    with pytest.raises(Conflict, match="datasource.illegal_move"):
        catalogue.call("datasource_resume", id="lab")
    with pytest.raises(NotFound, match="Did you mean 'lab'"):
        catalogue.call("datasource_suspend", id="labb")


def test_a_source_in_use_stays_and_names_who_uses_it(catalogue: Catalogue) -> None:
    source = catalogue.source()
    catalogue.holding(source, {"path": "a"}, {"path": "b"})
    used = catalogue.call("data_show", id="a")
    catalogue.claim(source, "c1", holder="dreq_7", data=used["id"])
    with pytest.raises(Conflict) as refusal:
        catalogue.call("datasource_destroy", id="lab")
    assert refusal.value.code == "datasource.in_use" and refusal.value.extra["holders"] == [{"id": "dreq_7", "claims": 1}]
    with pytest.raises(Conflict) as refusal:
        catalogue.call("data_destroy", id="a")
    assert refusal.value.code == "data.in_use" and refusal.value.extra["holders"] == [{"id": "dreq_7", "claims": 1}]
    assert catalogue.call("data_destroy", id="b")["destroyed_at"]
    assert handlers.holders(catalogue.uses, source=source["id"]) == {"items": [{"id": "dreq_7", "claims": 1}]}


def test_a_destroyed_source_takes_its_data_along_and_frees_its_name(catalogue: Catalogue) -> None:
    source = catalogue.source()
    catalogue.holding(source, *({"path": f"f{number}", "tags": {"a": number}} for number in range(20)))
    catalogue.messages()
    gone = catalogue.call("datasource_destroy", id="lab")
    assert gone["destroyed_at"]
    names = [message["name"] for message in catalogue.messages()]
    assert names.count("datasource.destroy") == 1 and names.count("data.destroy") == 20 and len(names) == 21
    assert catalogue.call("query", expression="a>=0")["total"] == 0 and catalogue.call("data_list")["total"] == 0
    assert catalogue.call("query")["warnings"] == []
    with pytest.raises(NotFound):
        catalogue.call("datasource_suspend", id=source["id"])
    assert catalogue.call("datasource_show", id=source["id"])["destroyed_at"]
    catalogue.source()


def test_a_source_half_emptied_by_a_crash_is_emptied_by_the_sweep(catalogue: Catalogue) -> None:
    source = catalogue.source()
    catalogue.holding(source, {"path": "a"})
    from services.catalog.models import SOURCE
    with catalogue.db.transaction() as uow:
        uow.destroy(SOURCE, [uow.get(SOURCE, source["id"])])
    assert catalogue.call("query")["total"] == 0
    handlers.sweep(catalogue.uses)
    assert catalogue.call("data_list")["total"] == 0
    assert [message["name"] for message in catalogue.messages("data.destroy")] == ["data.destroy"]


def test_data_is_registered_by_hand_once_per_place(catalogue: Catalogue) -> None:
    catalogue.source()
    made = catalogue.call("data_create", source="lab", path="scans/b c.nii", size=7, tags={"owner": "darren"})
    assert made["uri"] == "file:///lab/scans/b%20c.nii" and made["name"] == "b c.nii"
    assert catalogue.found("owner:darren") == ["scans/b c.nii"]
    with pytest.raises(Conflict) as refusal:
        catalogue.call("data_create", source="lab", path="scans/b c.nii")
    assert refusal.value.code == "data.path_taken"
    catalogue.call("data_destroy", id=made["id"])
    again = catalogue.call("data_create", source="lab", path="scans/b c.nii")
    assert again["id"] == made["id"] and again["version"] > made["version"] and again["tags"] == {}
    assert catalogue.found("owner:darren") == []
    shown = catalogue.call("datasource_show", id="lab")
    assert (shown["data_count"], shown["data_bytes"]) == (1, 0)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "", "a\0b", "./a", "x" * 5000])
def test_a_path_that_leaves_its_source_is_refused(catalogue: Catalogue, path: str) -> None:
    catalogue.source()
    with pytest.raises(Invalid) as refusal:
        catalogue.call("data_create", source="lab", path=path)
    assert refusal.value.errors[0]["pointer"] == "/path"
    assert catalogue.call("data_list")["total"] == 0


def test_relocated_data_keeps_its_id_and_frees_its_place(catalogue: Catalogue) -> None:
    catalogue.source()
    other = catalogue.source("other", location="Bergen")
    made = catalogue.call("data_create", source="lab", path="a.csv", size=5)
    moved = data.relocate(catalogue.uses, made["id"], "other", "b/a2.csv")
    assert (moved["id"], moved["source"]["name"], moved["path"], moved["location"]) == (made["id"], "other", "b/a2.csv", "Bergen")
    assert data.relocate(catalogue.uses, made["id"], other["id"], "b/a2.csv")["version"] == moved["version"]
    assert catalogue.call("datasource_show", id="lab")["data_count"] == 0
    assert catalogue.call("datasource_show", id="other")["data_bytes"] == 5
    with pytest.raises(Conflict, match="data.path_taken"):
        catalogue.call("data_create", source="other", path="b/a2.csv")
    assert catalogue.call("data_create", source="lab", path="a.csv")["id"] != made["id"]
    assert set(data.by_ids(catalogue.uses, [made["id"], "data_gone"])) == {made["id"]}


def test_those_who_provision_get_the_parameters(catalogue: Catalogue) -> None:
    source = catalogue.source()
    got = handlers.sources(catalogue.uses, [source["id"], "dsrc_gone"])
    assert list(got) == [source["id"]]
    assert got[source["id"]]["parameters"] == {"rootdir": "/lab"} and got[source["id"]]["writable"] is True

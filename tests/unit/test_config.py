"""Settings: which file decides, what is refused and where it stood, what is never shown."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from shared.hosting.config import SHIPPED, ConfigError, database_url, is_embedded, load_config, redacted
from shared.hosting.settings import ENVIRONMENTS

BARE = {"HOME": "/home/darren"}


def load(text: str = "", folder: Path | None = None, **more):
    files = []
    if folder is not None:
        (folder / "mine.yaml").write_text(text)
        files = [folder / "mine.yaml"]
    return load_config(files=files, variables=more.pop("variables", BARE), **more)


def refusal(text: str, folder: Path, **more) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as refused:
        load(text, folder, **more)
    return [(error["pointer"].rsplit("/", 1)[-1], error["detail"]) for error in refused.value.errors]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_is_complete_without_any_variable(environment):
    config = load(environment=environment)
    assert config.environment == environment
    assert config.web.port == 3000 and is_embedded(config)


def test_every_key_of_the_shipped_file_is_explained():
    lines = SHIPPED.read_text().splitlines()
    settings = lines[:next(number for number, line in enumerate(lines) if line.startswith("overlays:"))]
    sections = {name for name, value in yaml.safe_load("\n".join(settings)).items() if isinstance(value, dict)}
    bare = [
        line.strip() for before, line in zip([""] + settings, settings, strict=False)
        if ":" in line and not line.strip().startswith("#") and line.rstrip(":") not in sections
        and not before.strip().startswith("#")
    ]
    assert bare == []


def test_the_overlay_of_the_environment_wins_over_the_base_and_the_command_line_over_all(tmp_path):
    text = "web: {port: 1}\noverlays: {dev: {web: {port: 2}}, prod: {web: {port: 3}}}"
    assert load(text, tmp_path).web.port == 2
    assert load(text, tmp_path, environment="prod").web.port == 3
    assert load(text, tmp_path, overrides={"web.port": 4}).web.port == 4
    assert load(text, tmp_path, overrides={"web.port": None}).web.port == 2


def test_variables_reach_the_settings_and_become_their_types(tmp_path):
    config = load(variables=BARE | {
        "EDGEMERE_PORT": "3117", "EDGEMERE_ENV": "test", "EDGEMERE_ALLOWED_ROOTS": "/a, /b", "EDGEMERE_DATA": "/d",
        "EDGEMERE_AMQP_URI": "amqp://guest:guest@broker//",
    })
    assert (config.web.port, config.sources.allowed_roots, config.data_dir) == (3117, ("/a", "/b"), "/d")
    assert not is_embedded(config)


def test_the_file_that_a_variable_names_is_read(tmp_path):
    (tmp_path / "site.yaml").write_text("owner: {default: darren}")
    assert load(variables=BARE | {"EDGEMERE_CONFIG": str(tmp_path / "site.yaml")}).owner.default == "darren"


def test_an_unknown_setting_names_the_nearest_and_its_line(tmp_path):
    assert refusal("owner:\n  default: x\nweb:\n  prot: 1\n", tmp_path) == [
        ("mine.yaml, line 4", "There is no setting 'web.prot'. Did you mean 'port'?")]
    assert refusal("evnts: {}\n", tmp_path) == [
        ("mine.yaml, line 1", "There is no setting 'evnts'. Did you mean 'events'?")]


def test_an_unknown_setting_in_another_environments_overlay_is_refused_as_well(tmp_path):
    assert refusal("overlays:\n  prod:\n    log: {levle: info}\n", tmp_path) == [
        ("mine.yaml, line 3", "There is no setting 'log.levle'. Did you mean 'level'?")]


def test_an_unknown_environment_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'prod'"):
        load(environment="prd")
    with pytest.raises(ConfigError, match="dev, test, prod"):
        load(environment="staging")
    assert refusal("overlays: {tset: {}}", tmp_path)[0][1].endswith("Did you mean 'test'?")
    assert "EDGEMERE_ENV" in refusal("environment: prod", tmp_path)[0][1]


@pytest.mark.parametrize(("text", "said"), [
    ("web: {port: 70000}", "'web.port'"),
    ("web: {port: many}", "'web.port'"),
    ("rpc: {timeout_s: soon}", "'rpc.timeout_s'"),
    ("rpc: {timeout_s: 0}", "'rpc.timeout_s'"),
    ("log: {level: loud}", "'log.level'"),
    ("broker: {uri: 'http://x'}", "'broker.uri'"),
    ("costs: {weights: {load: -1}}", "'costs.weights'"),
    ("web: 3", "'web' has to be a mapping"),
    ("web: {port: 1, port: 2}", "a second time"),
    ("owner: {default: '${NOT_SET_ANYWHERE}'}", "NOT_SET_ANYWHERE"),
    ("owner: {default: '${file:/no/such/file}'}", "/no/such/file"),
])
def test_an_ill_typed_value_is_refused_with_its_place(tmp_path, text, said):
    (place, detail), = refusal(text, tmp_path)
    assert place == "mine.yaml, line 1" and said in detail


def test_all_faults_are_told_at_once(tmp_path):
    assert len(refusal("web: {prot: 1}\nlog: {colour: red}\n", tmp_path, overrides={"rpc.tiemout_s": 1})) == 3


def test_a_file_that_is_no_yaml_or_missing_is_refused(tmp_path):
    assert "not YAML" in refusal("web: [", tmp_path)[0][1]
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(files=[tmp_path / "none.yaml"], variables=BARE)


def test_a_secret_from_a_file_is_used_and_never_shown(tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    config = load(f"database: {{url: 'postgresql://do:${{file:{tmp_path}/password}}@db/do'}}", tmp_path)
    assert database_url(config, "requests") == "postgresql+psycopg2://do:hunter2@db/do"
    assert "hunter2" not in repr(config) + str(redacted(config))
    assert redacted(config)["database"]["url"] == "postgresql://do:***@db/do"


def test_a_refusal_does_not_repeat_the_value(tmp_path):
    assert "hunter2" not in str(refusal("database: {url: 'mysql://do:hunter2@db/do'}", tmp_path))


def test_each_service_has_a_file_of_its_own_unless_a_database_is_named(tmp_path):
    config = load(overrides={"data_dir": str(tmp_path)})
    assert database_url(config, "requests") == f"sqlite:///{tmp_path}/requests.db"
    named = load(overrides={"database.url": "postgresql://db/{service}"})
    assert database_url(named, "catalog") == "postgresql+psycopg2://db/catalog"


def test_the_data_folder_is_the_users_own(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert load().data_dir == "/home/darren/.local/share/edgemere"
    assert load(variables=BARE | {"XDG_DATA_HOME": "/x"}).data_dir == "/x/edgemere"


def test_settings_cannot_be_changed():
    config = load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.web.port = 1
    with pytest.raises(TypeError):
        config.costs.weights["time"] = 2

"""Which place wins, how text becomes values, and what is said of a wrong one (page 5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from imd.config import Settings, SettingsError, defaults, load, sources
from imd.config.settings import SECTIONS, attribute_of

SECRET = "vq3Zp0TyLw8nXeKb5RgUj1MfSa7HdCiO4k2"


@pytest.fixture(autouse=True)
def no_system_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setattr(sources, "SYSTEM_DIRECTORY", folder)
    return folder


def dev(environ: dict[str, str] | None = None, file: Path | None = None, **options) -> Settings:
    overrides = {key.replace("__", "."): value for key, value in options.items()}
    return load("dev", str(file) if file else None, None, environ or {}, overrides)


def problems(environ: dict[str, str] | None = None, file: Path | None = None, **options):
    with pytest.raises(SettingsError) as caught:
        dev(environ, file, **options)
    return caught.value.problems


def written(folder: Path, text: str) -> Path:
    path = folder / "imd.toml"
    path.write_text(text)
    return path


def test_profile_is_dev_without_any_other_word() -> None:
    assert load(None, None, None, {}, {}).profile == "dev"
    assert load(None, None, None, {"IM_PROFILE": ""}, {}).profile == "dev"


def test_profile_of_the_option_wins_over_im_profile() -> None:
    assert load("dev", None, None, {"IM_PROFILE": "prod"}, {}).profile == "dev"
    environ = {"IM_PROFILE": "prod", "IMD_AUTH_SECRET": SECRET}
    assert load(None, None, None, environ, {}).profile == "prod"


@pytest.mark.parametrize("option", [None, "staging"])
def test_an_unknown_profile_is_one_line_with_the_value_and_the_three_choices(option) -> None:
    with pytest.raises(SettingsError) as caught:
        load(option, None, None, {"IM_PROFILE": "staging"}, {})
    (line,) = caught.value.problems
    assert "staging" in line
    assert "dev, test, prod" in line


def test_an_empty_profile_option_is_refused() -> None:
    with pytest.raises(SettingsError):
        load("", None, None, {}, {})


@pytest.mark.parametrize("profile", ["dev", "test", "prod"])
def test_the_packaged_file_says_the_defaults_of_the_code(profile) -> None:
    environ = {} if profile == "dev" else {"IMD_AUTH_SECRET": SECRET}
    loaded = load(profile, None, "/s", environ, {})
    expected = defaults(profile, Path("/s"))
    for section in SECTIONS:
        if section != "auth":
            name = attribute_of(section)
            assert getattr(loaded, name) == getattr(expected, name)
    assert loaded.auth.mode == expected.auth.mode


def test_state_directory_follows_profile_environment_and_option(tmp_path: Path) -> None:
    prod = {"IMD_AUTH_SECRET": SECRET}
    assert dev().state_dir == Path.cwd() / "var"
    assert load("prod", None, None, prod, {}).state_dir == Path("/var/lib/imd")
    assert dev({"IMD_STATE_DIR": "/a"}).state_dir == Path("/a")
    assert load("dev", None, "/b", {"IMD_STATE_DIR": "/a"}, {}).state_dir == Path("/b")


def test_the_database_is_in_the_state_directory_unless_said_otherwise() -> None:
    assert load("dev", None, "/b", {}, {}).database.url == "sqlite:////b/imd.db"
    url = "postgresql://imd@db/im"
    assert dev({"IMD_DATABASE_URL": url}).database.url == url
    assert dev({"IMD_DATABASE_URL": ""}).database.url.startswith("sqlite:///")


def test_later_places_win(tmp_path: Path, no_system_settings: Path) -> None:
    (no_system_settings / "dev.toml").write_text("[http]\nport = 1001\n")
    file = written(tmp_path, "[http]\nport = 1002\n")
    assert dev().http.port == 1001
    assert dev(file=file).http.port == 1002
    assert dev({"IMD_CONFIG": str(file)}).http.port == 1002
    assert dev({"IMD_HTTP_PORT": "1003"}, file).http.port == 1003
    assert dev({"IMD_HTTP_PORT": "1003"}, file, http__port="1004").http.port == 1004
    assert dev({"IMD_HTTP_PORT": "1003"}, file, http__port=None).http.port == 1003


def test_the_config_option_wins_over_imd_config(tmp_path: Path) -> None:
    file = written(tmp_path, "[http]\nport = 1002\n")
    assert dev({"IMD_CONFIG": "/nowhere.toml"}, file).http.port == 1002


def test_text_becomes_numbers_switches_and_lists() -> None:
    settings = dev(
        {
            "IMD_LIMITS_SENDS_PER_SECOND": "2.5",
            "IMD_DATABASE_AUTO_MIGRATE": "false",
            "IMD_HTTP_TRUSTED_PROXIES": "10.0.0.1, ::1",
            "IMD_HTTP_ALLOWED_ORIGINS": '["https://a.example", "null"]',
            "IMD_MESSAGES_EXTRA_TYPES": "40,41",
            "IMD_AUTH_AUDIENCE": "",
        }
    )
    assert settings.limits.sends_per_second == 2.5
    assert settings.database.auto_migrate is False
    assert settings.http.trusted_proxies == ("10.0.0.1", "::1")
    assert settings.http.allowed_origins == ("https://a.example", "null")
    assert settings.messages.extra_types == (40, 41)
    assert settings.auth.audience is None


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("IMD_HTTP_PORT", "70000", "0 (any free port) to 65535"),
        ("IMD_HTTP_PORT", "http", "a whole number"),
        ("IMD_HTTP_DRAIN", "nan", "a number of seconds"),
        ("IMD_HTTP_REQUEST_TIMEOUT", "0", "above 0"),
        ("IMD_LOG_LEVEL", "loud", "debug, info, warn or error"),
        ("IMD_DATABASE_AUTO_MIGRATE", "perhaps", "true or false"),
        ("IMD_MESSAGES_EXTRA_TYPES", "[40", "a list of whole numbers"),
        ("IMD_AUTH_MODE", "open", "token, or trusted"),
    ],
)
def test_a_bad_value_names_key_value_place_and_what_is_allowed(variable, value, allowed) -> None:
    (line,) = problems({variable: value})
    key = variable.removeprefix("IMD_").lower().replace("_", ".", 1)
    assert line.startswith(f"{key}: ")
    assert value in line
    assert f"in {variable}" in line
    assert allowed in line


def test_a_file_must_hold_real_types(tmp_path: Path) -> None:
    file = written(tmp_path, '[http]\nport = "3000"\n[database]\nauto_migrate = 1\n')
    first, second = problems(file=file)
    assert first.startswith('http.port: "3000" in ' + str(file))
    assert second.startswith("database.auto_migrate: 1 in ")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "[http]\nport = -1\n[sms]\nx = 1\n")
    lines = problems({"IMD_LOG_LEVEL": "loud", "IMD_AUTH_SECRET_FILE": "/nowhere"}, file)
    assert len(lines) == 4


@pytest.mark.parametrize("text", ["[http]\nprot = 1\n", "[htpt]\nport = 1\n", "port = 1\n"])
def test_an_unknown_key_in_a_file_is_an_error(tmp_path: Path, text) -> None:
    (line,) = problems(file=written(tmp_path, text))
    assert str(tmp_path) in line
    assert "unknown" in line


def test_an_unknown_key_brings_the_near_one_to_mind(tmp_path: Path) -> None:
    assert "did you mean http.port?" in problems(http__prot=1)[0]
    assert "did you mean IMD_HTTP_PORT?" in problems({"IMD_HTTP_PROT": "1"})[0]
    assert "did you mean IM_PROFILE?" in problems({"IMD_PROFILE": "prod"})[0]


@pytest.mark.parametrize(
    "variable", ["IMD_BUSES_URL", "IMD_", "IMD_TESTS", "IMD_HTTP", "IMD_CONFIGS"]
)
def test_an_unknown_variable_with_the_prefix_is_an_error(variable) -> None:
    (line,) = problems({variable: "x"})
    assert line.startswith(f"{variable}: unknown variable")


def test_reserved_variables_and_other_prefixes_are_left_alone() -> None:
    dev({"IMD_TEST_DATABASE_URL": "x", "IMD_ACCEPTANCE_BASE": "x", "IM_X": "x", "imd_x": "x"})


@pytest.mark.parametrize("text", [None, "[http", "\xff"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text) -> None:
    file = tmp_path / "imd.toml"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    assert str(file) in problems(file=file)[0]


def test_a_secret_may_stand_in_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    file = written(tmp_path, '[auth]\nsecret_file = "secret"\n')
    assert dev(file=file).auth.secret == SECRET
    assert dev({"IMD_AUTH_SECRET_FILE": str(tmp_path / "secret")}).auth.secret == SECRET
    assert dev({"IMD_AUTH_SECRET": "mine"}, file).auth.secret == "mine"


def test_a_secret_and_its_file_in_one_place_are_too_many(tmp_path: Path) -> None:
    (line,) = problems({"IMD_AUTH_SECRET": "mine", "IMD_AUTH_SECRET_FILE": "x"})
    assert "both given" in line


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"x" * 70000])
def test_a_secret_file_without_a_secret_is_refused(tmp_path: Path, content) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    (line,) = problems({"IMD_AUTH_SECRET_FILE": str(path)})
    assert line.startswith("auth.secret_file: ")


def test_errors_never_show_a_secret(tmp_path: Path) -> None:
    file = written(tmp_path, 'auth = "s3same"\n[database]\nurl = 7\n')
    text = str(problems({"IMD_AUTH_SECERT": "s3same", "IMD_DATABASE_URL": "x://u:s3same@h/"}, file))
    assert "s3same" not in text
    with pytest.raises(SettingsError) as caught:
        load("prod", None, None, {"IMD_AUTH_SECRET": "s3same"}, {})
    assert "s3same" not in str(caught.value)


def test_relative_tls_paths_start_from_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "c.pem").touch()
    (tmp_path / "k.pem").touch()
    file = written(tmp_path, '[http]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    assert dev(file=file).http.tls_cert == str(tmp_path / "c.pem")


def test_sections_may_stand_inside_sections(tmp_path: Path) -> None:
    text = (
        '[push]\ngrace = 5\n[push.wechat]\napp_id = "wx"\napp_secret = "s"\ntemplate_id = "T"\n'
        '[push.wechat.fields]\nthing1 = "{session_name}"\n'
        '[push.wechat.by_session_type."8"]\ntemplate_id = "T8"\n'
    )
    loaded = dev(file=written(tmp_path, text))
    assert (loaded.push.grace, loaded.push_wechat.app_id) == (5.0, "wx")
    assert loaded.push_wechat.fields == {"thing1": "{session_name}"}
    assert loaded.push_wechat.by_session_type["8"].template_id == "T8"


def test_tables_come_from_the_environment_as_json() -> None:
    environ = {
        "IMD_PUSH_WECHAT_APP_ID": "wx",
        "IMD_PUSH_WECHAT_APP_SECRET": "s",
        "IMD_PUSH_WECHAT_TEMPLATE_ID": "T",
        "IMD_PUSH_WECHAT_FIELDS": '{"thing1": "{seq}"}',
        "IMD_PUSH_GETUI_BASE_URL": "http://127.0.0.1:1",
        "IMD_WEBHOOKS": '[{"url": "https://h/x", "secret": "s"}]',
    }
    loaded = dev(environ)
    assert loaded.push_wechat.fields == {"thing1": "{seq}"}
    (hook,) = loaded.top.webhooks
    assert (hook.url, hook.events) == ("https://h/x", ("*",))


@pytest.mark.parametrize(
    "value", ["x", "{}", '[{"url": "https://h"}]', '[{"url": "https://h", "secret": "s", "x": 1}]']
)
def test_bad_webhooks_are_refused_without_their_secrets(value) -> None:
    with pytest.raises(SettingsError) as caught:
        dev({"IMD_WEBHOOKS": value})
    (line,) = caught.value.problems
    assert line.startswith("webhooks: *** in IMD_WEBHOOKS is not allowed")


def test_a_webhooks_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("a secret from a file\n")
    text = '[[webhooks]]\nurl = "https://h/x"\nsecret_file = "hook"\nevents = ["topic.ended"]\n'
    (hook,) = dev(file=written(tmp_path, text)).top.webhooks
    assert (hook.secret, hook.events) == ("a secret from a file", ("topic.ended",))
    (tmp_path / "hook").unlink()
    with pytest.raises(SettingsError, match="webhooks"):
        dev(file=tmp_path / "imd.toml")

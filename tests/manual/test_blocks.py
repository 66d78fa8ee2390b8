"""Whoever copies a block of the tutorial or a guide gets what the page says: all are run here."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from imd.config.settings import FROM_FILE
from imd.config.sources import KEYS
from tests.e2e.server import Imd, running
from tests.manual.blocks import DOCS, blocks, languages, pages
from tests.manual.programs import BIN, run
from tests.servers import free_port

TUTORIALS = ("tutorial.md", "tutorial.zh.md")
_ADDRESS = re.compile(r"\b127\.0\.0\.1:3000\b")

#: page -> languages of its blocks that a test in this folder runs; lines of imdctl alone are
#: looked at by test_commands.py
RUN = {page: {"sh"} for page in TUTORIALS} | {
    "console.md": {"sh"},
    "guides/backup.md": {"sh"},
    "guides/retention.md": {"python"},
    "guides/platform.md": {"python", "js", "java"},
    "guides/webhooks.md": {"python", "js", "java"},
    "guides/wechat.md": {"sh"},
    "moving.md": {"sh"},
    "operation.md": {"yaml"},
    "push.md": {"python", "sh"},
    # by tests/browser/test_consult.py
    "sdk.md": {"js"},
    "topics.md": {"sh"},
}


def english(page: str) -> str:
    """The page that a Chinese one is a version of."""
    return page.replace(".zh.md", ".md")


def test_no_block_is_left_out():
    """A page with a new kind of block wants a test that runs it, or a kind that is only shown."""
    found = {page: languages(page) for page in pages() if languages(page)}
    chinese = {page for page in found if page.endswith(".zh.md")} - set(TUTORIALS)
    assert {page: found[page] for page in found.keys() - chinese} == RUN
    # What is run of a Chinese page is its English page's, so it need not be run again.
    for page in chinese:
        for language in found[page]:
            assert blocks(page, language) == blocks(english(page), language), page


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page, "toml")])
def test_settings_that_are_shown_are_known(page):
    for block in blocks(page, "toml"):
        for section, value in tomllib.loads(block).items():
            _known(section, value)


def _known(key: str, value: object) -> None:
    if key in KEYS or key.removesuffix("_file") in FROM_FILE:
        return
    assert isinstance(value, dict), f"{key} is no setting"
    for name, inner in value.items():
        _known(f"{key}.{name}", inner)


def test_what_prometheus_is_told_can_be_read_and_names_rules_that_ship():
    (block,) = blocks("operation.md", "yaml")
    told = yaml.safe_load(block)
    assert told["scrape_configs"][0]["static_configs"][0]["targets"]
    for name in told["rule_files"]:
        assert (DOCS.parent / "etc" / "prometheus" / name).is_file()


@pytest.mark.parametrize("page", TUTORIALS)
def test_the_tutorial_works_as_printed(tmp_path: Path, page):
    if shutil.which("curl") is None:
        pytest.skip(f"NOT TESTED: the lines of {page} need curl")
    with running(tmp_path / "state", None, IM_PROFILE="dev") as imd:
        script = _ADDRESS.sub(f"127.0.0.1:{imd.port}", "\n".join(blocks(page, "sh")))
        script = script.replace(".venv/bin/", f"{BIN}/")
        said = run(
            ["/bin/sh", "-eu"],
            tmp_path,
            script,
            IMD_HTTP_PORT=str(imd.port),
            IMD_STATE_DIR=str(imd.state),
        )
    assert '"code"' not in said, said
    # The patient has one unread message, then none; the doctor one, then none.
    counts = re.findall(r'"(?:badge_no|count)": ?(\d+)', said)
    assert counts == ["1", "0", "1", "0"], said
    assert "头痛三天了" in said and '"status":0,"reply":0' in said


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Iterator[tuple[Imd, dict[str, str]]]:
    """A server with credentials, and what the programs of the guide are given."""
    state = tmp_path_factory.mktemp("hospital")
    imd = Imd(state)
    variables = {**imd.settings, "IMD_STATE_DIR": str(state)}
    made = run(
        [str(BIN / "imdctl"), "--json", "key", "add", "guide", "--scope", "write"],
        state,
        **variables,
    )
    try:
        imd.start()
        yield imd, {"IM_URL": f"http://127.0.0.1:{imd.port}", "IM_KEY": json.loads(made)["key"]}
        assert not imd.trouble()
    finally:
        imd.kill()


def test_the_python_of_the_platform_guide(hospital, tmp_path: Path):
    _, variables = hospital
    (program,) = blocks("guides/platform.md", "python")
    assert run([sys.executable, "-"], tmp_path, program, **variables) == "1 报告出来了,一切正常。\n"


def test_the_javascript_of_the_platform_guide(hospital, tmp_path: Path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("NOT TESTED: the JavaScript of the platform guide needs node")
    _, variables = hospital
    (program,) = blocks("guides/platform.md", "js")
    (tmp_path / "first.mjs").write_text(program, "utf-8")
    assert run([node, "first.mjs"], tmp_path, **variables) == "1 请按时服药。\n"


def test_the_java_of_the_platform_guide(hospital, tmp_path: Path):
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("NOT TESTED: the Java of the platform guide needs a JDK")
    _, variables = hospital
    (program,) = blocks("guides/platform.md", "java")
    (tmp_path / "First.java").write_text(program, "utf-8")
    run(["javac", "-encoding", "UTF-8", "First.java"], tmp_path)
    said = json.loads(run(["java", "-cp", str(tmp_path), "First"], tmp_path, **variables))
    assert (said["seq"], said["content"]) == (1, "明天上午复诊。")


def test_the_backup_guide_works_as_printed(hospital, tmp_path: Path):
    imd, _ = hospital
    variables = {**imd.settings, "IMD_STATE_DIR": str(imd.state)}
    script = "\n".join(blocks("guides/backup.md", "sh"))
    script = re.sub(r"\bimdctl\b", f"{BIN}/imdctl", script)
    said = run(["/bin/sh", "-eu"], tmp_path, script, **variables)
    assert "is whole" in said and "restored" in said
    with sqlite3.connect(tmp_path / "trial" / "imd.db") as database:
        assert database.execute("SELECT count(*) FROM service_keys").fetchone() == (1,)


def test_the_wechat_guide_works_as_printed(tmp_path: Path):
    if shutil.which("curl") is None:
        pytest.skip("NOT TESTED: the lines of the WeChat guide need curl")
    port, fakes = free_port(), free_port()
    script = "\n".join(blocks("guides/wechat.md", "sh")).replace(".venv/bin/", f"{BIN}/")
    script = script.replace("127.0.0.1:3000", f"127.0.0.1:{port}").replace("3099", str(fakes))
    # However it ends, the two that it starts end with it.
    script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"
    command = ["timeout", "90", "/bin/bash", "-eu"]
    said = run(command, tmp_path, script, IMD_HTTP_PORT=str(port))
    assert '"code"' not in said, said
    sent = json.loads(said.splitlines()[-1])["sent"]
    assert [message["touser"] for message in sent] == ["o-p1"]
    assert sent[0]["data"] == {"thing1": {"value": "家庭医生咨询"}}


def test_the_check_of_a_webhook_takes_what_imd_signs_and_nothing_else(tmp_path: Path):
    (program,) = blocks("push.md", "python")
    judged = (
        "import hashlib, hmac, time\nfrom imd.push.webhooks import signature\n"
        f"{program}\nnow = int(time.time() * 1000)\n"
        "signed = signature('secret', now, b'{}')\n"
        "print(genuine(b'secret', signed, b'{}'), genuine(b'secret', signed, b'[]'),"
        " genuine(b'other', signed, b'{}'),"
        " genuine(b'secret', signature('secret', now - 400_000, b'{}'), b'{}'))\n"
    )
    said = run([sys.executable, "-"], tmp_path, judged, PYTHONPATH=str(DOCS.parent))
    assert said == "True False False False\n"


def test_the_check_of_a_sealed_transcript(hospital, tmp_path: Path):
    """By the format that the page describes, without anything of imd."""
    imd, _ = hospital
    settings = {"IM_PROFILE": "dev", "IMD_STATE_DIR": str(imd.state)}
    run([str(BIN / "imdctl"), "demo"], tmp_path, **settings)
    key, sealed = tmp_path / "hospital.pem", tmp_path / "consult.sealed"
    key.write_text(run([str(BIN / "imdctl"), "transcript", "key"], tmp_path, **settings))
    with sqlite3.connect(imd.state / "imd.db") as database:
        (consult,) = database.execute("SELECT id FROM topics ORDER BY id LIMIT 1").fetchone()
    words = ["transcript", "export", consult, "--format", "sealed", "-o", str(sealed)]
    run([str(BIN / "imdctl"), *words], tmp_path, **settings)
    (program,) = blocks("guides/retention.md", "python")
    files = {"TRANSCRIPT": str(sealed), "PUBLIC_KEY": str(key)}
    assert run([sys.executable, "-"], tmp_path, program, **files).startswith("intact, ")
    sealed.write_bytes(sealed.read_bytes().replace(b'"version":1', b'"version":2', 1))
    with pytest.raises(AssertionError, match="line 1"):
        run([sys.executable, "-"], tmp_path, program, **files)

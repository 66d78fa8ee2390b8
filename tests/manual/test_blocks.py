"""Whoever copies a block of the tutorial or a guide gets what the page says: all are run here."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Imd, clean_environment, die_with_parent, running
from tests.manual.blocks import DOCS, blocks, languages

TUTORIALS = ("tutorial.md", "tutorial.zh.md")
BIN = Path(sys.executable).parent
_ADDRESS = re.compile(r"\b127\.0\.0\.1:3000\b")

#: page -> languages of its blocks that a test here runs
RUN = {page: {"sh"} for page in TUTORIALS} | {
    "guides/platform.md": {"python", "js", "java"},
    "guides/backup.md": {"sh"},
}


def run(command: list[str], cwd: Path, text: str | None = None, **variables: str) -> str:
    """What it printed; fails with all of it when the status is not 0."""
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=cwd,
        env={**clean_environment(), "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"), **variables},
        preexec_fn=die_with_parent,
        check=False,
    )
    assert done.returncode == 0, f"{text or command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_no_block_is_left_out():
    """A page with a new kind of block wants a test that runs it, or a kind that is only shown."""
    pages = [*TUTORIALS, *(f"guides/{page.name}" for page in (DOCS / "guides").glob("*.md"))]
    assert {page: languages(page) for page in pages if languages(page)} == RUN


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

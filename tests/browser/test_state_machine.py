"""The SDK's own tests, which node runs: scripted sockets, a clock of the test's (``*.test.js``)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
_TITLE = re.compile(r"^test\(\"(.+?)\",", re.MULTILINE)
_FEATURES = {
    "object spread (2018)": r"[{,]\s*\.\.\.",
    "optional chaining (2020)": r"\?\.[A-Za-z_\[(]",
    "nullish (2020)": r"\?\?",
    "catch without a name (2019)": r"catch\s*\{",
    "finally of promises (2018)": r"\.finally\(",
    "async iteration (2018)": r"for await|async \*",
    "lookbehind (2018)": r"\(\?<",
    "later functions": r"\.(flat|flatMap|fromEntries|matchAll|replaceAll|at)\(",
    "private fields (2022)": r"this\.#|^\s+#",
    "big numbers (2020)": r"\d+n\b|BigInt",
}


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("THE SDK'S STATE MACHINE IS NOT TESTED: apt install nodejs (18 or newer)")
    return found


@pytest.mark.parametrize("name", ["connect.test.js", "rest.test.js"])
def test_in_node(node: str, name: str) -> None:
    wanted = len(_TITLE.findall((FOLDER / name).read_text("utf-8")))
    run = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(FOLDER / name)],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert wanted > 5
    assert f"# pass {wanted}" in run.stdout


@pytest.mark.parametrize("feature", _FEATURES)
def test_the_file_is_es2017(feature: str) -> None:
    source = (FOLDER.parents[1] / "imd/web/sdk/im.client.js").read_text("utf-8")
    assert not re.search(_FEATURES[feature], source, re.MULTILINE)

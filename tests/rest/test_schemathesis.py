"""Schemathesis against a real server, from the document that it serves.

Whatever is sent, the answer is no 5xx and is what the document says: status, media type, headers,
schema.

Each mode is asked by processes of its own, since the generator is bound to one processor.
``IMD_TEST_EXAMPLES`` is how many examples an operation gets: 100 where ``CI=true``, else 20.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.authorisation.world import imdctl
from tests.e2e.server import NO_LIMITS, Imd, clean_environment, running

pytest.importorskip("schemathesis")

EXAMPLES: Final = int(
    os.environ.get("IMD_TEST_EXAMPLES") or (100 if os.environ.get("CI") == "true" else 20)
)
#: processes for each of the two modes
SHARES: Final = max(1, min(4, (os.cpu_count() or 2) // 2))
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
#: the edges of every field do not depend on who asks: they are walked in token mode
PHASES: Final = {"test": "examples,coverage,fuzzing", "dev": "examples,fuzzing"}
#: nobody is told to wait, so that every example reaches its operation
LIMITS: Final = {**NO_LIMITS, "IMD_LIMITS_FAILED_LOGINS_PER_MINUTE": "0"}
SECONDS: Final = 1500

pytestmark = pytest.mark.timeout(SECONDS + 60)


class Run(NamedTuple):
    """One process of the generator, where its words go, and what it asks about."""

    process: subprocess.Popen[bytes]
    words: Path
    operations: list[str]


def _operations(port: int) -> list[str]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    link.request("GET", "/api/v2/openapi.json")
    paths = json.loads(link.getresponse().read())["paths"]
    link.close()
    return [told["operationId"] for item in paths.values() for told in item.values()]


def _begin(imd: Imd, folder: Path, key: str | None) -> list[Run]:
    """Ask all operations in SHARES processes."""
    program = str(Path(sys.executable).with_name("st"))
    url = f"http://127.0.0.1:{imd.port}/api/v2/openapi.json"
    words = [program, "run", url, "--workers", "1", "--max-examples", str(EXAMPLES)]
    words += ["--phases", PHASES[imd.settings["IM_PROFILE"]], "--checks", ",".join(CHECKS)]
    words += ["--continue-on-failure", "--warnings", "off", "--no-color"]
    if key is not None:
        words += ["--header", f"Authorization: Bearer {key}"]
    everything, runs = _operations(imd.port), []
    for share in range(SHARES):
        mine = everything[share::SHARES]
        chosen = [word for name in mine for word in ("--include-operation-id", name)]
        place = folder / f"share-{share}"
        place.mkdir(parents=True)
        with (place / "words").open("wb") as out:
            process = subprocess.Popen(
                [*words, *chosen], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=place,
                env={**clean_environment(), "COLUMNS": "120"},
            )  # fmt: skip
        runs.append(Run(process, place / "words", mine))
    return runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Run]]]:
    """Both modes at the same time."""
    folder = tmp_path_factory.mktemp("schemathesis")
    state = folder / "token"
    state.mkdir()
    imdctl(state, "migrate")
    key = imdctl(state, "key", "add", "fuzz", "--scope", "admin")["key"]
    with (
        running(folder / "trusted", IM_PROFILE="dev", **LIMITS) as trusted,
        running(state, **LIMITS) as token,
    ):
        begun = {
            "trusted": _begin(trusted, folder / "by-trusted", None),
            "token": _begin(token, folder / "by-token", key),
        }
        try:
            yield begun
        finally:
            for run in (run for shares in begun.values() for run in shares):
                run.process.kill()
                run.process.wait()


@pytest.mark.parametrize("mode", ["trusted", "token"])
def test_every_answer_is_what_the_document_says(runs: dict[str, list[Run]], mode: str) -> None:
    asked = 0
    for run in runs[mode]:
        status = run.process.wait(SECONDS)
        said = run.words.read_text("utf-8", "replace")
        short = "\n".join(line[:300] for line in said.splitlines())
        assert status == 0, short[-8000:]
        assert f"Tested: {len(run.operations)}" in said, short[-3000:]
        generated = re.search(r"(\d+) generated", said)
        assert generated is not None, short[-3000:]
        asked += int(generated[1])
    assert asked >= sum(len(run.operations) for run in runs[mode])

"""The demo's data: complete, repeatable, beside a running server, and never in prod (page 5.3)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from imd.service.demo import story
from tests.service.running import Running, imdctl

SECRET = "Zk3v9-2hQx7LmT0aWcR8yBnE5uJfGd4sPo6iKq1Xe"
MAIN = Path(__file__).parents[2] / "imd" / "web" / "console" / "main.js"


def told(folder: Path) -> Any:
    done = imdctl("demo", "--json", "--state-dir", str(folder / "var"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def everything(server: Running) -> dict[str, Any]:
    """What a client sees of the demo, without times."""
    doctor = story()["doctor"]
    _, listed, _ = server.ask("GET", f"/api/v2/sessions?user_id={doctor}&size=200")
    _, counts, _ = server.ask("GET", f"/api/v2/sessions/topicListCountByType?user_id={doctor}")
    logs = {}
    for session in listed["items"]:
        path = f"/api/v2/sessions/{session['id']}/messages?size=200&order=asc"
        logs[session["id"]] = [
            (m["seq"], m["id"], m["type"], m["content"])
            for m in server.ask("GET", path)[1]["items"]
        ]
    return {"sessions": listed["items"], "counts": counts, "logs": logs}


def test_it_has_every_kind_of_thing_and_may_be_told_again(tmp_path: Path) -> None:
    assert told(tmp_path)["made"] == len(story()["sessions"])
    with Running(tmp_path) as server:
        first = everything(server)
        assert told(tmp_path)["made"] == 0  # beside the running server
        status, answer, _ = server.ask("POST", "/console/demo")
        assert status == 200 and answer["made"] == 0
        assert everything(server) == first
    assert {session["type"] for session in first["sessions"]} == {1, 2, 3, 5, 9, 13}
    assert all(first["counts"][state] for state in ("unreplied", "ongoing", "replied", "expired"))
    kinds = {entry[2] for log in first["logs"].values() for entry in log}
    assert kinds >= {1, 2, 3, 4, 6, 7, 10, 18, 19, 20, 24, 25, 27, 28}
    assert any(entry[3] is None for log in first["logs"].values() for entry in log)


def test_the_button_tells_what_the_command_tells(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        status, answer, _ = server.ask("POST", "/console/demo")
        assert (status, answer["made"]) == (200, len(story()["sessions"]))
        told_by_button = everything(server)
    other = tmp_path / "other"
    other.mkdir()
    told(other)
    with Running(other) as server:
        told_by_command = everything(server)
    assert [s["id"] for s in told_by_button["sessions"]] == [
        s["id"] for s in told_by_command["sessions"]
    ]
    assert [s["unread"] for s in told_by_button["sessions"]] == [
        s["unread"] for s in told_by_command["sessions"]
    ]


def test_a_page_of_another_origin_cannot_make_it(tmp_path: Path) -> None:
    with Running(tmp_path) as server:
        status, _, _ = server.ask("POST", "/console/demo", Origin="https://evil.example")
        assert status == 403
        assert server.ask("GET", f"/api/v2/users/{story()['doctor']}")[0] == 404
        assert server.ask("GET", "/console/demo")[0] == 405


def test_prod_refuses(tmp_path: Path) -> None:
    done = imdctl("demo", "--profile", "prod", "--state-dir", str(tmp_path), IMD_AUTH_SECRET=SECRET)
    assert done.returncode == 1
    assert done.stderr.startswith("imdctl: ") and "prod" in done.stderr
    assert not (tmp_path / "imd.db").exists()


def test_the_page_looks_at_the_people_of_the_story() -> None:
    script = MAIN.read_text("utf-8")
    for name in ("doctor", "patient", "session"):
        found = re.search(rf'{name}: "([^"]+)"', script)
        assert found and found[1] == story()[name]

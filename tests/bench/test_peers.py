"""Peers that cannot be had are left out with a reason, and never break a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import contest, peers
from bench.peers import NotHere, made, nodejs

NODE = Path(nodejs.__file__).parent / "node"


@pytest.mark.parametrize("command", [["false"], ["no-such-program"], ["sleep", "60"]])
def test_what_cannot_be_fetched_is_not_here(tmp_path: Path, command: list[str]) -> None:
    with pytest.raises(NotHere, match=r"^the peer: "):
        made("the peer", tmp_path, "1", [command], seconds=0.5)
    assert not list(tmp_path.iterdir())


def test_what_was_fetched_is_fetched_again_only_when_something_else_is_wanted(
    tmp_path: Path,
) -> None:
    touch = [["sh", "-c", "echo x >> times"]]
    for wanted in ("1", "1", "2"):
        made("the peer", tmp_path / "new", wanted, touch)
    assert (tmp_path / "new" / "times").read_text() == "x\nx\n"


def test_without_node_the_peer_is_left_out_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(peers, "BUILD", tmp_path)
    with pytest.raises(NotHere, match="no node on the PATH"):
        nodejs._installed()


def test_a_peer_that_is_not_here_leaves_the_others_in() -> None:
    said: list[str] = []

    def missing(*_: object) -> None:
        raise NotHere("somebody: not here")

    left_out: list[str] = []
    contest.joined([missing, lambda *_: said.append("the other one")], said.append, left_out)
    assert left_out == ["somebody: not here"]
    assert said[-1] == "the other one"
    assert any("left out" in line for line in said)


def test_the_peer_in_node_is_pinned_and_names_no_registry() -> None:
    package = json.loads((NODE / "package.json").read_text())
    for version in package["dependencies"].values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    lock = (NODE / "package-lock.json").read_text()
    assert "://" not in lock
    for name, one in json.loads(lock)["packages"].items():
        assert not name or one["integrity"].startswith("sha512-")

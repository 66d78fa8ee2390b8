from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import pytest

from imd.service.notify import ALIVE, READY, STOPPING, Systemd
from tests.service.fakes import Recorded


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, abstract):
    name = f"imd-test-{secrets.token_hex(4)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}" if abstract else name)
        receiver.settimeout(5)
        systemd = Systemd({"NOTIFY_SOCKET": f"@{name}" if abstract else name})
        for state in (READY, ALIVE, STOPPING):
            systemd.tell(state)
            assert receiver.recv(100) == state.encode()


def test_without_systemd_nothing_happens():
    with Recorded() as events:
        Systemd({}).tell(READY)
        Systemd({"NOTIFY_SOCKET": "vsock:1:2"}).tell(READY)
    assert events == [] and Systemd({}).alive_every is None


def test_a_socket_that_is_gone_is_logged():
    with Recorded() as events:
        Systemd({"NOTIFY_SOCKET": "/nowhere/notify"}).tell(READY)
    assert len(events) == 1


@pytest.mark.parametrize(
    "given, every",
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(given, every):
    assert Systemd({"NOTIFY_SOCKET": "/x", **given}).alive_every == every

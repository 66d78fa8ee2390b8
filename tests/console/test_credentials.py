"""Where calls need a credential the page asks for one, and shows what it opens (page 5.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from imd.service.demo import story
from tests.console.conftest import Page
from tests.service.running import Running, imdctl

SECRET = "Zk3v9-2hQx7LmT0aWcR8yBnE5uJfGd4sPo6iKq1Xe"
ENV = {"IM_PROFILE": "test", "IMD_AUTH_SECRET": SECRET}
INPUT = ".gate input"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server of profile test with the demo's data, and a service key with every scope."""
    folder = tmp_path_factory.mktemp("credentials")
    state = ("--state-dir", str(folder / "var"))
    assert imdctl("demo", *state, **ENV).returncode == 0
    made = imdctl("key", "add", "console", "--scope", "admin", *state, **ENV)
    key = re.search(r"imd_[\w-]{43}", made.stdout)
    assert key, made.stderr
    with Running(folder, "--interface", "127.0.0.1", env=ENV) as running:
        yield running, key[0]


@pytest.fixture
def gate(guarded: tuple[Running, str], driver: Any) -> Iterator[Page]:
    """The page of that server, before anything was given."""
    driver.set_window_size(1440, 900)
    made = Page(driver, f"http://127.0.0.1:{guarded[0].port}")
    made.open()
    made.do("sessionStorage.clear()")
    made.open()
    yield made
    made.do("sessionStorage.clear()")
    driver.get("about:blank")


def test_a_service_key_shows_both_sides(gate: Page, guarded: tuple[Running, str]) -> None:
    gate.type(INPUT, "imd_" + "x" * 43 + Keys.ENTER)
    gate.until("document.querySelector('.gate-wrong')")
    gate.type(INPUT, guarded[1] + Keys.ENTER)
    gate.settled()
    gate.type(".doctor .composer-text", "with a key" + Keys.ENTER)
    gate.until("document.querySelector('.patient .timeline').innerText.includes('with a key')")
    gate.until("Number(document.querySelector('.vital b').innerText) >= 4")
    gate.open()  # the tab remembers
    gate.settled()


@pytest.mark.parametrize("role", ["doctor", "patient"])
def test_a_users_token_shows_that_side(gate: Page, role: str) -> None:
    token = imdctl("token", story()[role], "--role", role, **ENV).stdout.split()[-1]
    gate.type(INPUT, token + Keys.ENTER)
    gate.until(f"document.querySelector('.{role} .row')")
    other = {"doctor": "patient", "patient": "doctor"}[role]
    assert not gate.ask(f"document.querySelector('.{other}')")
    gate.type(f".{role} .composer-text", "with a token" + Keys.ENTER)
    gate.until(f"document.querySelector('.{role} .timeline').innerText.includes('with a token')")
    assert token not in gate.driver.current_url

"""The console in Debian's Chromium against a real server with the demo's data.

Where chromium or selenium is not installed the tests skip and say so. Nothing is downloaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.service.running import Running, imdctl

SECONDS = 30.0
LOOK = "CONSOLE NOT LOOKED AT"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A dev server; the demo's data was told beside it."""
    folder = tmp_path_factory.mktemp("console")
    with Running(folder) as running:
        told = imdctl("demo", "--state-dir", str(folder / "var"))
        assert told.returncode == 0, told.stderr
        yield running


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Chromium without a window, in English, large enough for both sides."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if find_spec("selenium") is None:
        pytest.skip(f"{LOOK}: pip install selenium (extra imd[test])")
    if chromium is None or chromedriver is None:
        pytest.skip(f"{LOOK}: apt install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for name in (
        "headless=new", "no-sandbox", "disable-dev-shm-usage", "no-proxy-server", "disable-gpu",
        "window-size=1440,900", "js-flags=--expose-gc", "enable-precise-memory-info",
    ):  # fmt: skip
        options.add_argument(f"--{name}")
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(SECONDS)
    yield driver
    driver.quit()


class Page:
    """The console in a tab; waits for what must come and asks in JavaScript."""

    def __init__(self, driver: Any, base: str) -> None:
        self.driver, self._base = driver, base

    def open(self, query: str = "?lang=en") -> None:
        self.driver.get(f"{self._base}/{query}")

    def until(self, script: str, *values: Any, seconds: float = SECONDS) -> Any:
        """The first truthy value of an expression."""
        from selenium.webdriver.support.wait import WebDriverWait

        asked = f"return {script}"
        wait = WebDriverWait(self.driver, seconds, poll_frequency=0.05)
        return wait.until(lambda driver: driver.execute_script(asked, *values), script)

    def ask(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *values)

    def do(self, script: str, *values: Any) -> None:
        self.driver.execute_script(script, *values)

    def click(self, selector: str) -> None:
        self.until("document.querySelector(arguments[0])", selector).click()

    def type(self, selector: str, text: str) -> None:
        self.until("document.querySelector(arguments[0])", selector).send_keys(text)

    def text(self, selector: str) -> str:
        found = self.ask("(document.querySelector(arguments[0]) || {}).innerText || ''", selector)
        return str(found)

    def settled(self) -> None:
        """Both conversations are there."""
        self.until("document.querySelectorAll('.scroller .row').length > 20")
        self.until(
            "document.querySelector('.patient .row') && document.querySelector('.doctor .row')"
        )

    def complaints(self) -> list[str]:
        """What the browser wrote into its console, policy violations among it."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
        ]


@pytest.fixture
def page(server: Running, driver: Any) -> Iterator[Page]:
    """A fresh tab; what the browser complains about fails the test."""
    driver.set_window_size(1440, 900)
    made = Page(driver, f"http://127.0.0.1:{server.port}")
    made.complaints()
    yield made
    complaints = made.complaints()
    driver.get("about:blank")
    assert not complaints


Send = Callable[..., Any]


@pytest.fixture
def send(server: Running) -> Send:
    """Sends over REST, as the back end for a user."""

    def post(session_id: str, sender_id: str, content: Any, kind: int = 1) -> Any:
        fields = {"sender_id": sender_id, "type": kind, "content": content}
        status, message, _ = server.ask("POST", f"/api/v2/sessions/{session_id}/messages", fields)
        assert status == 201, message
        return message

    return post

"""A real browser for the SDK: Debian's Chromium, driven by selenium, and an origin for its pages.

Where a piece is not installed the tests skip and say which (``apt install chromium
chromium-driver``, extra ``imd[test]``). Nothing is downloaded.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.server import NO_LIMITS, Imd, running, until

SECONDS = 30.0


class Origin:
    """A web server for pages that are not imd's: a path gives the text that the test laid there."""

    def __init__(self) -> None:
        pages = self.pages = dict[str, str]()

        class Asked(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages.get(urlsplit(self.path).path, "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                """Not in the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """Where the pages come from; the server allows it."""
    made = Origin()
    yield made
    made.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Chromium without a window."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if find_spec("selenium") is None:
        pytest.skip("THE SDK IS NOT TESTED IN A BROWSER: pip install selenium (extra imd[test])")
    if chromium is None or chromedriver is None:
        pytest.skip("THE SDK IS NOT TESTED IN A BROWSER: apt install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for name in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "no-proxy-server"):
        options.add_argument(f"--{name}")
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(SECONDS)
    yield driver
    driver.quit()


class Tab:
    """One tab of the browser; whatever is asked of it brings it to the front."""

    def __init__(self, driver: Any, url: str) -> None:
        driver.switch_to.new_window("tab")
        self.driver, self.name = driver, driver.current_window_handle
        driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """Run statements; ``return`` gives a value back."""
        self.driver.switch_to.window(self.name)
        return self.driver.execute_script(script, *arguments)

    def wait(self, expression: str, *arguments: object) -> Any:
        """What a promise brings; an AssertionError with the code where it is refused."""
        self.driver.switch_to.window(self.name)
        done = (
            "const done = arguments[arguments.length - 1];"
            f"Promise.resolve({expression}).then((value) => done([true, value]),"
            " (error) => done([false, String(error.code || error)]));"
        )
        good, value = self.driver.execute_async_script(done, *arguments)
        assert good, value
        return value

    def until(self, expression: str, what: str = "") -> None:
        until(lambda: self.run(f"return {expression}"), SECONDS, what or expression)

    def tell(self, command: str, **params: object) -> Any:
        """A command of the DevTools protocol."""
        self.driver.switch_to.window(self.name)
        return self.driver.execute_cdp_cmd(command, params)


PAGE = """<!doctype html><meta charset="utf-8"><title>page</title>
<script src="http://127.0.0.1:%(port)d/sdk/im.client.js"></script>
<script>
  const seen = [], events = [], errors = [];
  addEventListener("error", (event) => errors.push(event.message));
  addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
  const names = ["open", "recovered", "reload", "offline", "closed", "notice", "badge", "update",
                 "session", "topic", "read", "typing"];
  let chat, session_id;
  function begin(options) {
    session_id = options.session_id;
    im.setup({ token: options.token });
    chat = im.connect(options);
    chat.on("message", (message) => seen.push(message));
    for (const name of names) chat.on(name, (detail) => events.push([name, detail]));
  }
  const count = (name) => events.filter(([one]) => one === name).length;
  const word = (call) => call.then(() => "done", (e) => [e.code, e.status, e.errors.length]);
  const last = (name) => events.filter(([one]) => one === name).pop()[1];
  begin(%(options)s);
</script>
"""

Opens = Callable[..., Tab]


@pytest.fixture
def tabs(driver: Any, origin: Origin, request: pytest.FixtureRequest) -> Iterator[Opens]:
    """Opens a tab that loads only the SDK and connects; no page may have had an error."""
    home, opened = driver.current_window_handle, list[Tab]()

    def open_tab(imd: Imd, **options: object) -> Tab:
        path = f"/{request.node.name}/{len(opened)}"
        origin.pages[path] = PAGE % {"port": imd.port, "options": json.dumps(options)}
        opened.append(Tab(driver, origin.url + path))
        return opened[-1]

    yield open_tab
    faults = []
    for tab in opened:
        faults += tab.run("return errors")
        driver.close()
    driver.switch_to.window(home)
    assert not faults


@pytest.fixture
def imd(tmp_path: Path, origin: Origin) -> Iterator[Imd]:
    """A server with tokens that allows the pages' origin."""
    settings = {**NO_LIMITS, "IMD_HTTP_ALLOWED_ORIGINS": origin.url}
    with running(tmp_path / "state", None, **settings) as server:
        yield server

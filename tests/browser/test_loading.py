"""Every way in which a page may load the SDK, on a page of another origin, with nothing said."""

from __future__ import annotations

from typing import Any

import pytest

from imd.web.sdk import integrity
from tests.browser.conftest import Origin, Tab
from tests.e2e.server import Imd, token

_SAY = "window.loaded = im === globalThis.im && im.version;"
WAYS = {
    "script": '<script src="{sdk}.js"></script><script>' + _SAY + "</script>",
    "integrity": '<script src="{sdk}.js" integrity="{hash}" crossorigin="anonymous"></script>'
    "<script>" + _SAY + "</script>",
    "module": '<script type="module">import im from "{sdk}.mjs"; ' + _SAY + "</script>",
    "import-js": '<script type="module">import "{sdk}.js"; ' + _SAY + "</script>",
    "dynamic": '<script>import("{sdk}.mjs").then(({{ default: im }}) => {{ '
    + _SAY
    + " }})</script>",
    "added": "<script>const tag = document.createElement('script'); tag.src = '{sdk}.js';"
    "tag.onload = () => {{ " + _SAY + " }}; document.documentElement.append(tag);</script>",
}


@pytest.mark.parametrize("way", WAYS)
def test_its_base_is_where_it_came_from(imd: Imd, driver: Any, origin: Origin, way: str) -> None:
    sdk = f"http://127.0.0.1:{imd.port}/sdk/im.client"
    page = "<!doctype html><title>x</title>" + WAYS[way].format(sdk=sdk, hash=integrity())
    origin.pages[f"/loading/{way}"] = page
    home = driver.current_window_handle
    tab = Tab(driver, f"{origin.url}/loading/{way}")
    tab.until("Boolean(window.loaded)")
    tab.run("im.setup({ token: arguments[0] })", token("D1", "doctor"))
    badge = tab.wait("im.Application.getBadge()")
    assert badge == {"user_id": "D1", "badge_no": 0}
    tab.run("window.chat = im.connect({ client_type: 'doctor_system' })")
    tab.until("chat.state === 'open'")
    driver.close()
    driver.switch_to.window(home)

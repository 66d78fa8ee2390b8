"""How the console looks: pictures of each form, left in ``build/console`` for a reviewer's eyes.

What a test can judge of them is judged here: nothing sticks out of the window, and no picture is
blank. The rest is for eyes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.conftest import Page

PICTURES = Path(__file__).parents[2] / "build" / "console"
WIDE, PHONE = (1440, 900), (390, 844)


@pytest.mark.parametrize(
    ("name", "size", "query", "dark", "clicks"),
    [
        ("wide-zh", WIDE, "?lang=zh", False, []),
        ("wide-en", WIDE, "?lang=en", False, []),
        ("wide-dark", WIDE, "?lang=zh", True, []),
        ("phone-list-zh", PHONE, "?lang=zh", False, []),
        ("phone-doctor-en", PHONE, "?lang=en", False, [".doctor .item"]),
        ("phone-patient-zh", PHONE, "?lang=zh", False, [".switcher [data-key=patient]"]),
    ],
)
def test_a_picture_of_the_console(
    page: Page, name: str, size: tuple[int, int], query: str, dark: bool, clicks: list[str]
) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.open(query)
        page.until("document.querySelectorAll('.doctor .item-row').length >= 9")
        for selector in clicks:
            page.click(selector)
        if clicks or size == WIDE:
            page.until("document.querySelectorAll('.row').length > 4")
        # The browser loads no picture of a side that is not shown.
        page.until("[...document.images].every(image => image.complete || !image.offsetParent)")
        assert page.ask("document.documentElement.scrollWidth <= window.innerWidth")
        PICTURES.mkdir(parents=True, exist_ok=True)
        picture = PICTURES / f"{name}.png"
        assert page.driver.save_screenshot(str(picture))
        assert picture.stat().st_size > 20_000
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

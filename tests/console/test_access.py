"""Whoever sees little, uses no mouse, or listens: names, keys, contrast (WCAG 2.1 AA basics)."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.console.conftest import Page

NAMELESS = """
const named = node => (node.getAttribute('aria-label') || node.innerText || node.title || '').trim()
  || (node.labels && node.labels.length);
return [...document.querySelectorAll('button, a, input, textarea, [role=tab], [role=log]')]
  .filter(node => node.offsetWidth && !named(node)).map(node => node.outerHTML.slice(0, 160));
"""

# The contrast of each text that is seen, against the first ground below it that is not transparent.
FAINT = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
function rgba(text) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
}
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * x + .7152 * y + .0722 * z;
}
function ground(node) {
  for (; node; node = node.parentElement) {
    const colour = rgba(getComputedStyle(node).backgroundColor);
    if (colour[3] > .9) return colour;
  }
  return [255, 255, 255, 1];
}
const faint = new Set();
for (const node of document.querySelectorAll('#app *')) {
  const own = [...node.childNodes].some(one => one.nodeType === 3 && one.textContent.trim());
  const exempt = '[disabled], [aria-hidden=true], .unseen, .skip';
  if (!own || !node.offsetWidth || node.closest(exempt)) continue;
  const style = getComputedStyle(node);
  if (Number(style.opacity) < 1 || style.visibility === 'hidden') continue;
  let dimmed = false;
  for (let n = node; n && !dimmed; n = n.parentElement) {
    dimmed = Number(getComputedStyle(n).opacity) < 1;
  }
  if (dimmed) continue;
  const [one, other] = [luminance(rgba(style.color)), luminance(ground(node))];
  const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
  const large = parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 600;
  if (ratio < (large ? 3 : 4.5)) faint.add(`${node.className} ${ratio.toFixed(2)}`);
}
return [...faint];
"""


@pytest.fixture(params=["light", "dark"])
def looked(request: pytest.FixtureRequest, page: Page) -> Page:
    """The page in both themes."""
    feature = {"name": "prefers-color-scheme", "value": request.param}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.open()
    page.settled()
    return page


def test_everything_that_can_be_used_has_a_name(page: Page) -> None:
    page.open()
    page.settled()
    assert page.driver.execute_script(NAMELESS) == []
    page.click(".doctor .talk-action button")
    page.until("document.querySelector('dialog')")
    assert page.driver.execute_script(NAMELESS) == []


def test_every_text_stands_out_from_its_ground(looked: Page) -> None:
    looked.do("for (const s of document.querySelectorAll('.scroller')) s.scrollTop = 900")
    assert looked.driver.execute_script(FAINT) == []
    looked.click(".vitals")
    looked.click(".doctor [data-key=consults]")
    looked.until("document.querySelector('.consults .item')")
    assert looked.driver.execute_script(FAINT) == []


def test_the_keyboard_alone_will_do(page: Page) -> None:
    page.open()
    page.settled()
    active = page.driver.switch_to
    body = page.driver.find_element("tag name", "body")
    body.send_keys(Keys.TAB)
    assert page.ask("document.activeElement.className") == "skip"
    tab = page.until("document.querySelector('.doctor [data-key=sessions]')")
    tab.send_keys(Keys.ARROW_RIGHT)
    assert page.ask("document.activeElement.dataset.key") == "consults"
    active.active_element.send_keys(Keys.ARROW_LEFT)
    page.until("document.querySelectorAll('.doctor .item')[1]").send_keys(Keys.ENTER)
    page.until("document.querySelectorAll('.doctor .item-row')[1].classList.contains('chosen')")
    page.until("!document.querySelector('.doctor .talk-banner').hidden")
    page.until("document.querySelector('.doctor .talk-action button')").send_keys(Keys.ENTER)
    page.until("document.querySelector('dialog[open]')")
    active.active_element.send_keys(Keys.ESCAPE)
    page.until("!document.querySelector('dialog')")
    page.until("document.querySelector('.doctor [aria-haspopup=menu]')").send_keys(Keys.ENTER)
    assert page.ask("document.activeElement.getAttribute('role')") == "menuitem"
    active.active_element.send_keys(Keys.ESCAPE)
    assert page.ask("document.activeElement.getAttribute('aria-haspopup')") == "menu"

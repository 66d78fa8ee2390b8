"""A doctor and a patient in one window: what each does, the other sees (page 5.4)."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.console.conftest import Page, Send

DOCTOR, PATIENT, SESSION = "D2016008240003", "P3502010001", "P3502010001_T0601_2"


def newest(side: str) -> str:
    return (
        f"[...document.querySelectorAll('.{side} .timeline .row')].slice(-1)"
        ".filter(row => row.innerText.includes(arguments[0])).length"
    )


def test_the_demo_is_there_at_first_sight(page: Page) -> None:
    page.open("?lang=zh")
    page.settled()
    assert page.text(".doctor .who b") == "林静怡"
    assert page.text(".patient .talk-title") == "张伟民的家庭医生"
    assert page.ask("document.querySelectorAll('.doctor .item-row').length") >= 9
    assert page.ask("document.documentElement.lang") == "zh-CN"
    kinds = ["body-picture", "body-voice", "body-article", "body-card", "row-note", "row-line"]
    page.do("for (const s of document.querySelectorAll('.scroller')) s.scrollTop = 0")
    for kind in kinds:
        page.until("document.querySelector('.doctor .' + arguments[0])", kind)


def test_both_write_to_each_other_and_see_that_it_was_read(page: Page) -> None:
    page.open()
    page.settled()
    page.type(".doctor .composer-text", "量一下血压" + Keys.ENTER)
    page.until(newest("patient"), "量一下血压")
    page.until(
        "[...document.querySelectorAll('.doctor .row-read')].some(n => /read/i.test(n.innerText))"
    )
    page.type(".patient .composer-text", "136/84" + Keys.ENTER)
    page.until(newest("doctor"), "136/84")
    page.until("document.querySelector('.doctor .chosen .item-text').innerText.includes('136/84')")


def test_whoever_writes_is_seen_to_write(page: Page) -> None:
    page.open("?lang=en&patient=P3502010004&session=P3502010004_D2016008240003_13")
    page.until("document.querySelectorAll('.row').length >= 16")
    page.type(".patient .composer-text", "a")
    page.until("document.querySelector('.doctor .talk-writing').innerText.includes('周子涵')")


def test_a_message_is_recalled_on_both_sides(page: Page) -> None:
    page.open()
    page.settled()
    page.type(".doctor .composer-text", "to be recalled" + Keys.ENTER)
    page.until(newest("patient"), "to be recalled")
    page.until("document.querySelector('.doctor .row:last-child .row-recall')").send_keys(
        Keys.ENTER
    )
    page.until(newest("patient"), "recalled a message")
    page.until("!document.querySelector('#app').innerText.includes('to be recalled')")


def test_a_consult_ends_and_another_begins(page: Page) -> None:
    page.open()
    page.settled()
    page.until("document.querySelector('.doctor .talk-action button')").click()
    page.type("dialog textarea", "低盐饮食")
    page.click("dialog .strong")
    page.until(
        "document.querySelector('.patient .row-note') && "
        "document.querySelector('.patient .timeline').innerText.includes('低盐饮食')"
    )
    page.until("document.querySelector('.patient .talk-banner').hidden")
    page.until("/Start/.test(document.querySelector('.patient .talk-action').innerText)")
    page.click(".patient .talk-action button")
    page.type("dialog input", "头痛")
    page.type("dialog textarea", "两天了")
    page.click("dialog .strong")
    page.until("document.querySelector('.doctor .talk-topic').innerText === '头痛'")
    page.click(".doctor [data-key=consults]")
    page.click(".doctor .consults [data-key=unreplied]")
    page.until("document.querySelector('.consults .list').innerText.includes('头痛')")
    page.type(".doctor .composer-text", "多久了" + Keys.ENTER)
    page.click(".doctor .consults [data-key=ongoing]")
    page.until("document.querySelector('.consults .list').innerText.includes('头痛')")


@pytest.mark.parametrize("place", range(4))
def test_samples_of_the_other_types_are_sent(page: Page, place: int) -> None:
    page.open()
    page.settled()
    sent = ".patient .mine .bubble-framed, .patient .mine .body-voice"
    count = f"document.querySelectorAll('{sent}').length"
    before = page.ask(count)
    page.click(".patient [aria-haspopup=menu]")
    page.do("document.querySelectorAll('.patient .sample')[arguments[0]].click()", place)
    page.until(f"!document.querySelector('.patient .row-pending') && {count} > {before}")


def test_badges_count_what_came_elsewhere_and_reading_clears_them(page: Page, send: Send) -> None:
    other = "P3502010002_T0601_2"
    page.open()
    page.settled()
    row = (
        "[...document.querySelectorAll('.doctor .item-row')]"
        ".find(row => row.innerText.includes('李秀英'))"
    )
    before = page.until(f"Number({row}.querySelector('.badge').innerText || 0)")
    send(other, "P3502010002", "还有一个问题")
    page.until(f"Number({row}.querySelector('.badge').innerText) === {before + 1}")
    page.do(f"{row}.querySelector('.item').click()")
    page.until(f"{row}.querySelector('.badge').hidden")
    page.until("document.querySelector('.patient .talk-title').innerText.includes('李秀英')")


def test_a_session_is_pinned_and_stays_on_top(page: Page) -> None:
    page.open()
    page.settled()
    pinned = (
        "[...document.querySelectorAll('.doctor .item-row.sticky')]"
        ".some(row => row.innerText.includes('刘洋'))"
    )
    assert not page.ask(pinned)
    page.do(
        "[...document.querySelectorAll('.doctor .item-row')]"
        ".find(row => row.innerText.includes('刘洋')).querySelector('.item-pin').click()"
    )
    page.until(pinned)


def test_the_figures_move(page: Page, send: Send) -> None:
    page.open()
    page.settled()
    page.click(".vitals")
    page.until("document.querySelectorAll('.figures-types li').length >= 4")
    for number in range(20):
        send(SESSION, PATIENT, f"n{number}")
    page.until("Number(document.querySelector('.vital:nth-of-type(2) b').innerText) > 0")


def test_a_phone_shows_one_side_at_a_time(page: Page) -> None:
    page.driver.set_window_size(500, 850)
    page.open()
    page.until("document.querySelectorAll('.doctor .item-row').length >= 9")
    assert page.ask("!(document.querySelector('.patient') || {}).offsetWidth")
    page.click(".doctor .item")
    page.until(
        "document.querySelector('.doctor .row') && !document.querySelector('.work').offsetWidth"
    )
    page.click(".doctor .talk-back")
    page.until("document.querySelector('.work').offsetWidth > 0")
    page.click(".switcher [data-key=patient]")
    page.until(
        "document.querySelector('.patient').offsetWidth"
        " && !document.querySelector('.doctor').offsetWidth"
    )
    page.click(".switcher [data-key=figures]")
    page.until("document.querySelector('.figures').offsetWidth > 0")
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure

from imd.domain.errors import SessionNotFound
from imd.service.logs import escaped, log_observer

EVIL = "a\nb\r\nc\x1b[31m\x85d\u2028e‮f\x00g\ud800\t\\"


def written(as_json: bool, level: str = "info", private: bool = True) -> tuple[Logger, io.StringIO]:
    file = io.StringIO()
    observer = log_observer(file, as_json=as_json, level=level, private=private)
    return Logger("tests", observer=LogPublisher(observer)), file


def raised(error: BaseException) -> Failure:
    try:
        raise error
    except BaseException:
        return Failure()


@pytest.mark.parametrize("as_json", [False, True])
def test_each_event_is_one_line_whatever_it_holds(as_json):
    log, file = written(as_json)
    log.info("got {what}", what=EVIL, request_id=EVIL)
    log.info(EVIL.replace("{", "{{"))
    text = file.getvalue()
    assert len(text.splitlines()) == 2 == text.count("\n")
    assert all(character.isprintable() for character in text.replace("\n", ""))


def test_text_is_for_people():
    log, file = written(False)
    log.info("{route} answered {status}", route="post_message", status=201, request_id="r-1")
    line = file.getvalue()
    assert line.endswith("Z info     [tests] post_message answered 201 (r-1)\n") or (
        " info     [tests] post_message answered 201 (r-1)\n" in line
    )
    log.info("您好")
    assert "您好" in file.getvalue()


def test_json_has_the_fields():
    log, file = written(True)
    log.warn("{n} things", n=3, request_id="r-1", rate=0.5, bad=float("nan"), ids=["a", 1], x=None)
    shown = json.loads(file.getvalue())
    assert shown.pop("time").endswith("Z")
    assert shown == {
        "level": "warn",
        "source": "tests",
        "message": "3 things",
        "n": 3,
        "request_id": "r-1",
        "rate": 0.5,
        "bad": "nan",
        "ids": ["a", 1],
        "x": None,
    }


def test_the_level_filters():
    for level, kept in (("debug", 4), ("info", 3), ("warn", 2), ("error", 1)):
        log, file = written(False, level)
        log.debug("d")
        log.info("i")
        log.warn("w")
        log.error("e")
        assert file.getvalue().count("\n") == kept


@pytest.mark.parametrize("as_json", [False, True])
def test_a_private_log_keeps_what_exceptions_say(as_json):
    log, file = written(as_json)
    try:
        try:
            raise ValueError("patient's words")
        except ValueError as error:
            raise RuntimeError("more words") from error
    except RuntimeError:
        log.failure("it failed", request_id="r-1")
    text = file.getvalue()
    assert "words" not in text
    assert "RuntimeError" in text and "ValueError" in text and "test_logs.py:" in text


def test_the_systems_own_words_are_shown():
    log, file = written(True)
    log.failure("it failed", raised(ConnectionRefusedError(111, "Connection refused")))
    assert json.loads(file.getvalue())["error"].endswith("Connection refused")
    log.failure("it failed", raised(SessionNotFound()))
    assert "There is no such session." in file.getvalue()


def test_an_open_text_log_shows_the_traceback_beneath_and_marked():
    log, file = written(False, private=False)
    log.failure("it failed", raised(ValueError("words\n2026-01-01T00:00:00Z info forged")))
    first, *rest = file.getvalue().splitlines()
    assert first.endswith("it failed")
    assert rest and all(line.startswith("    | ") for line in rest)
    assert "ValueError: words\\n2026" in rest[0]


def test_an_event_of_old_code_is_no_leak():
    log, file = written(True)
    event: dict[str, Any] = {"log_level": LogLevel.critical, "log_namespace": "log_legacy"}
    event |= {"isError": 1, "failure": raised(ValueError("words"))}
    event |= {"why": "old", "log_text": "Traceback: words", "log_format": "{log_text}"}
    log.observer(event)
    assert "words" not in file.getvalue()
    assert json.loads(file.getvalue())["message"] == "old"


def test_what_cannot_be_shown_does_not_stop_the_log():
    class Sore:
        def __str__(self) -> str:
            raise RuntimeError("sore")

        __repr__ = __str__

    for as_json in (False, True):
        log, file = written(as_json)
        log.info("{sore} {missing}", sore=Sore())
        log.info("next")
        assert "next" in file.getvalue() and "sore" in file.getvalue()
    log, file = written(False)
    file.close()
    log.info("nobody listens")


def test_a_long_message_is_cut():
    log, file = written(False)
    log.info("{x}", x="y" * 100_000)
    assert len(file.getvalue()) < 3000


def test_escaped_is_reversible_by_eye():
    assert escaped("a\\n\n") == "a\\\\n\\n"

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python import threadable
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


# ---- when lines are written


class Turns(Clock):
    """A reactor between whose turns :meth:`advance` stands."""

    running = True

    def __init__(self) -> None:
        super().__init__()
        self.before_shutdown: list[Any] = []

    def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.before_shutdown.append(call)


class Counted(io.StringIO):
    flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        super().flush()


@pytest.fixture
def turns(monkeypatch) -> Turns:
    # The thread of the tests is the reactor's.
    monkeypatch.setattr(threadable, "ioThread", threadable.getThreadID())
    return Turns()


def gathering(turns: Turns, file: Any = None) -> tuple[Logger, Any]:
    file = Counted() if file is None else file
    observer = log_observer(file, as_json=False, reactor=turns)
    return Logger("tests", observer=LogPublisher(observer)), file


def said(file: Any) -> list[str]:
    return [line.rpartition(" ")[2] for line in file.getvalue().splitlines()]


def test_lines_of_one_turn_are_written_together_at_its_end(turns):
    log, file = gathering(turns)
    log.info("one")
    log.info("two")
    assert said(file) == []
    turns.advance(0)
    assert said(file) == ["one", "two"] and file.flushes == 1
    log.info("three")
    assert said(file) == ["one", "two"]
    turns.advance(0)
    assert said(file) == ["one", "two", "three"] and file.flushes == 2
    assert turns.getDelayedCalls() == []


@pytest.mark.parametrize("level", ["warn", "error", "critical"])
def test_what_is_worse_than_info_goes_at_once_and_takes_along_what_waits(turns, level):
    log, file = gathering(turns)
    log.info("one")
    getattr(log, level)("two")
    assert said(file) == ["one", "two"]
    turns.advance(0)
    assert said(file) == ["one", "two"]


def test_the_lines_of_a_stopping_server_go_at_once(turns):
    log, file = gathering(turns)
    log.info("one")
    (stop,) = turns.before_shutdown
    stop()
    assert said(file) == ["one"]
    log.info("two")
    assert said(file) == ["one", "two"]
    turns.advance(0)
    assert said(file) == ["one", "two"]


def test_before_and_after_the_reactor_runs_nothing_waits(turns):
    log, file = gathering(turns)
    turns.running = False
    log.info("one")
    assert said(file) == ["one"]


def test_another_threads_line_goes_at_once(turns):
    log, file = gathering(turns)
    log.info("one")
    thread = threading.Thread(target=log.info, args=("two",))
    thread.start()
    thread.join()
    assert said(file) == ["one", "two"]


class Pieces(io.StringIO):
    """What was written between two flushes, as a pipe sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def flush(self) -> None:
        self.pieces.append(self.getvalue().encode()[sum(map(len, self.pieces)) :])
        super().flush()


@pytest.mark.parametrize("text", ["words", "您好"])
def test_lines_go_in_pieces_that_several_processes_can_write_to_one_pipe(turns, text):
    log, file = gathering(turns, Pieces())
    for number in range(300):
        log.info(f"{text * (number % 7)}{number}")
    turns.advance(0)
    assert len(file.getvalue().splitlines()) == 300
    assert all(len(piece) <= 4096 and piece.endswith(b"\n") for piece in file.pieces)
    assert max(map(len, file.pieces)) > 3500
    log.info("x")
    log.info("您" * 1900)
    turns.advance(0)
    assert [len(piece.splitlines()) for piece in file.pieces[-2:]] == [1, 1]


def test_a_line_that_the_file_cannot_take_does_not_take_others_along(turns):
    raw = io.BytesIO()
    log, _ = gathering(turns, io.TextIOWrapper(raw, encoding="ascii"))
    log.info("one")
    log.info("您好")
    log.info("two")
    turns.advance(0)
    lines = raw.getvalue().decode().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["one", "two"]


_STOPPING = """
import sys
from twisted.internet import reactor
from twisted.logger import Logger, globalLogBeginner
from imd.service.logs import log_observer

observer = log_observer(sys.stdout, as_json=False, reactor=reactor)
globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)

def last_turn():
    Logger().info("the last word")
    reactor.stop()

reactor.callLater(0.01, last_turn)
reactor.run()
"""


def test_nothing_of_the_last_turn_is_lost():
    ran = subprocess.run(
        [sys.executable, "-c", _STOPPING], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.count("the last word") == 1


@pytest.mark.parametrize(
    "value", ["a\x7fb", "\u202e", "\x9b", "a\u2028", "\ud800", "é", '"\\', 2**70, -(2**63), 0.1]
)
def test_json_is_ascii_without_controls_whatever_it_holds(value):
    log, file = written(True)
    log.info("x", value=value)
    line = file.getvalue().removesuffix("\n")
    assert line.isascii() and line.isprintable()
    assert json.loads(line)["value"] == value

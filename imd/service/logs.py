"""What the log looks like: each event one line, for people or for machines (page 5.4).

:mod:`imd.service.tap` gives twistd the observer made here instead of its own. Whatever came from
outside is escaped, so that no event can look like two, or paint a terminal. It refuses to know
who logs; that nobody logs contents, names or tokens is the callers' duty (page 6, rule 13), save
for exceptions, whose words a private log leaves out.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from threading import RLock
from typing import Any, Final, TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.threadable import isInIOThread
from zope.interface import implementer

from imd.domain.errors import ImError
from imd.wire.codec import encode

#: characters that begin a line, move the cursor, or turn the direction of writing
_UNSAFE: Final = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)
_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSAFE},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\\"): "\\\\",
}
#: members of an event that Twisted adds, or that are shown in their own way
_NOT_FIELDS: Final = frozenset(
    "log_format log_logger log_level log_namespace log_source log_time log_failure log_flattened"
    " log_system log_text log_io log_legacy log_trace message time system isError failure format"
    " why printed".split()
)
_LONGEST: Final = 2000
_MOST_FRAMES: Final = 40
#: exceptions whose words are the system's or our own, never a caller's
_SPEAKING: Final = (OSError, ImError)

#: from the least to the worst
_LEVELS: Final = tuple(LogLevel.iterconstants())
#: what may wait for its turn's end; anything worse may be the last that this process says
_MAY_WAIT: Final = frozenset((LogLevel.debug, LogLevel.info))
#: bytes that go out in one piece at most: what Linux puts into a pipe whole, whoever else writes to
#: it, as the workers of one supervisor do
_PIECE: Final = 4096

_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

Render = Callable[[LogEvent], str]


def escaped(text: str) -> str:
    """The text on one line: line ends, controls, escapes and direction marks made visible."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return text.translate(_ESCAPES)


# ---- exceptions


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what caused it, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < 5:
        seen.add(id(current))
        yield current
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def _named(error: BaseException, private: bool) -> str:
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    if private and not isinstance(error, _SPEAKING):
        return name
    words = str(error)[:_LONGEST]
    return f"{name}: {words}" if words else name


def traced(failure: Failure, private: bool) -> list[str]:
    """Where it came from, a frame a line; ``private`` leaves out what exceptions say.

    A database's words may hold the values of a statement, and so a message.
    """
    lines: list[str] = []
    assert failure.value is not None
    for error in _chain(failure.value):
        lines.append(_named(error, private))
        frames = traceback.extract_tb(
            failure.getTracebackObject() if error is failure.value else error.__traceback__
        )
        for frame in frames[-_MOST_FRAMES:]:
            lines.append(f"  {frame.filename}:{frame.lineno} {frame.name}")
    return lines


# ---- lines


def _failure(event: LogEvent) -> Failure | None:
    failure = event.get("log_failure") or (event.get("failure") if event.get("isError") else None)
    return failure if isinstance(failure, Failure) else None


def _time(event: LogEvent) -> str:
    time: float = event.get("log_time", 0.0)
    seconds = int(time)
    return f"{_second(seconds)}.{int((time - seconds) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _message(event: LogEvent) -> str:
    if "log_text" in event and _failure(event) is not None:
        # log.err of old code: its text is the traceback with all that the exception says.
        text = str(event.get("why") or "Unhandled Error")
    else:
        text = _formatted(event)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _formatted(event: LogEvent) -> str:
    """As formatEvent, which takes ten times as long, for the usual event without calls in it."""
    form = event.get("log_format")
    if type(form) is str and "(" not in form:
        try:
            return form.format_map(event)
        except Exception:
            return formatEvent(event)
    return formatEvent(event)


def _level(event: LogEvent) -> str:
    level = event.get("log_level", LogLevel.info)
    name: str = level.name
    return name


def _text_line(event: LogEvent, private: bool, worker: int | None) -> str:
    source = event.get("log_namespace") or event.get("log_system") or "-"
    said = event.get("worker") if worker is None else worker
    by = f"w{said} " if type(said) is int else ""
    head = f"{_time(event)} {_level(event):<8} {by}[{escaped(str(source))}]"
    line = f"{head} {escaped(_message(event))}"
    if (request := event.get("request_id")) is not None:
        line += f" ({escaped(str(request))})"
    failure = _failure(event)
    if failure is not None:
        # Beneath, and marked, so that nothing in there can pass for an event.
        line += "".join(f"\n    | {escaped(part)}" for part in traced(failure, private))
    return line + "\n"


def _field(value: Any) -> Any:
    kind = type(value)
    if kind is int or (kind is str and len(value) <= _LONGEST):
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if value == value and abs(value) < 1e15 else str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_field(item) for item in list(value)[:50]]
    try:
        return str(value)[:_LONGEST]
    except Exception as error:
        return f"<unprintable: {type(error).__name__}>"


def _json_line(event: LogEvent, private: bool, worker: int | None) -> str:
    shown: dict[str, Any] = {
        "time": _time(event),
        "level": _level(event),
        "source": str(event.get("log_namespace") or event.get("log_system") or "-"),
        "message": _message(event),
    }
    for name, value in event.items():
        if name not in _NOT_FIELDS and name not in shown:
            shown[name] = _field(value)
    if worker is not None:
        shown["worker"] = worker
    failure = _failure(event)
    if failure is not None:
        assert failure.value is not None
        shown["error"] = _named(failure.value, private)
        shown["trace"] = traced(failure, private)
    return _encoded(shown) + "\n"


def _encoded(shown: dict[str, Any]) -> str:
    """ASCII: every control, direction mark and stray surrogate becomes an escape of JSON."""
    try:
        # A tenth of the time, and the same wherever there is nothing to escape.
        text = encode(shown).decode("ascii")
    except (UnicodeError, OverflowError):
        return _encode_ascii(shown)
    return text if text.isprintable() else _encode_ascii(shown)


@implementer(ILogObserver)
class LineObserver:
    """Writes each event of ``levels`` to ``file``; one that cannot be shown is named instead.

    Where there is a reactor, the lines below ``warn`` of one of its turns go out together when it
    ends: a write for each would cost as much as all else about it. A line that is worse goes at
    once, and so does one of another thread, or of a stopping server, and a line that finds
    :data:`_PIECE` full; what goes takes along all that waits. So the order is kept, and only a
    process that is killed loses lines: less than a piece, of the turn that it was in.
    """

    def __init__(
        self, file: TextIO, render: Render, levels: frozenset[Any], reactor: Any = None
    ) -> None:
        self._file, self._render, self._levels = file, render, levels
        self._reactor = reactor
        self._held: list[str] = []
        self._size = 0
        # The lock of one thread lets it in again: a collected object may log within a write.
        self._lock = RLock()
        if reactor is not None:
            reactor.addSystemEventTrigger("before", "shutdown", self.wait_no_more)

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level not in self._levels:
            return
        try:
            line = self._render(event)
        except Exception as error:
            shown = {"log_time": event.get("log_time", 0.0), "log_level": LogLevel.error}
            reason = type(error).__name__
            line = self._render(
                {**shown, "log_format": "an event cannot be shown: {reason}", "reason": reason}
            )
        waits = level in _MAY_WAIT and self._turns()
        size = len(line) if line.isascii() else len(line.encode("utf-8", "replace"))
        with self._lock:
            if self._size + size > _PIECE:
                self.write()
            self._held.append(line)
            self._size += size
            first = len(self._held) == 1
        if not waits:
            self.write()
        elif first:
            self._reactor.callLater(0, self.write)

    def _turns(self) -> bool:
        """Whether this is a turn of the reactor, at whose end :meth:`write` will be called."""
        return self._reactor is not None and self._reactor.running and isInIOThread()

    def wait_no_more(self) -> None:
        """From now on each line is written at once."""
        self._reactor = None
        self.write()

    def write(self) -> None:
        """Write and flush what waits."""
        with self._lock:
            lines, self._held, self._size = self._held, [], 0
            if lines and not self._put("".join(lines)):
                # One that the file's encoding lacks must not take the others along.
                for line in lines:
                    self._put(line)

    def _put(self, text: str) -> bool:
        """Whether the text is such that the file could take it."""
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:
            # A closed pipe or a full disk must not stop the service.
            return True
        except ValueError:
            return False
        return True


def log_observer(
    file: TextIO,
    *,
    as_json: bool,
    level: str = "info",
    private: bool = True,
    worker: int | None = None,
    reactor: Any = None,
) -> LineObserver:
    """The observer for ``log.format`` and ``log.level`` (page 5.6).

    ``private`` leaves out what exceptions say; see :func:`traced`. Each line of a ``worker`` names
    it: as a field, or as ``w2`` before the source. With a ``reactor`` lines wait for the end of
    its turn; see :class:`LineObserver`.
    """
    line = _json_line if as_json else _text_line
    least = LogLevel.levelWithName(level)
    levels = frozenset(one for one in _LEVELS if one >= least)
    return LineObserver(file, lambda event: line(event, private, worker), levels, reactor)

"""The life of a connection as one table: what may happen in which state, and what follows.

:mod:`imd.websocket.link` looks every event up here and calls the method that the row names. No
other place decides what a connection may do. It knows neither frames nor time.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    __hash__ = object.__hash__  # looked up with each frame; by its name it costs a call

    ANONYMOUS = auto()  #: open; the first request must be a login, within 10 s
    LOGGING_IN = auto()  #: a login is being carried out
    INSIDE = auto()  #: logged in, in a session
    OUTER = auto()  #: logged in as a ``_system`` type
    MOVING = auto()  #: an ``enter`` is being carried out; still in the former session
    DRAINING = auto()  #: what is in flight is finished, nothing new is begun
    CLOSING = auto()  #: a close frame was sent
    CLOSED = auto()  #: the connection is gone


class Event(Enum):
    __hash__ = object.__hash__

    LOGIN = auto()  #: a login request came
    REQUEST = auto()  #: another well-formed request came
    BAD_FRAME = auto()  #: something came that is no request
    ADMITTED_INSIDE = auto()  #: the login succeeded, in a session
    ADMITTED_OUTER = auto()  #: the login succeeded, outside
    TURNED_AWAY = auto()  #: the login was refused
    ENTERING = auto()  #: an ``enter`` begins
    ENTERED = auto()  #: it succeeded
    STAYED = auto()  #: it was refused
    OVERDUE = auto()  #: no login within its time
    RETIRE = auto()  #: the server drains, and this connection's turn has come
    IDLE = auto()  #: the last request under way has been answered
    END = auto()  #: somebody wants it closed
    BROKEN = auto()  #: the WebSocket layer closed it for a fault of the peer
    LOST = auto()  #: the connection is gone


#: what may not happen there: a fault of the program
IMPOSSIBLE = "impossible"
#: what may happen there and means nothing
NOTHING = ""

_S, _E = State, Event
_Row = dict[Event, tuple[State, str]]


def _row(state: State, **cells: tuple[State, str] | str) -> _Row:
    """A whole row; an event that is not named is impossible, a mere word stays in the state."""
    row: _Row = dict.fromkeys(Event, (state, IMPOSSIBLE))
    for name, cell in cells.items():
        row[Event[name]] = (state, cell) if isinstance(cell, str) else cell
    return row


_END = (_S.CLOSING, "say_goodbye")
_BROKEN = (_S.CLOSING, "withdraw")
_LOST = (_S.CLOSED, "part")
_LOGGED_IN: dict[str, tuple[State, str] | str] = {
    "LOGIN": "refuse_second_login",
    "REQUEST": "carry_out",
    "BAD_FRAME": "complain",
    "OVERDUE": NOTHING,
    "RETIRE": (_S.DRAINING, "finish"),
    "IDLE": NOTHING,
    "END": _END,
    "BROKEN": _BROKEN,
    "LOST": _LOST,
}
#: a closing connection: what was under way may still end, and whatever comes is not read
_GOING: dict[str, tuple[State, str] | str] = {event.name: NOTHING for event in Event}

TABLE: dict[State, _Row] = {
    _S.ANONYMOUS: _row(
        _S.ANONYMOUS,
        LOGIN=(_S.LOGGING_IN, "log_in"),
        REQUEST=(_S.CLOSING, "demand_login"),
        BAD_FRAME=(_S.CLOSING, "demand_login"),
        OVERDUE=(_S.CLOSING, "demand_login"),
        RETIRE=_END,
        END=_END,
        BROKEN=_BROKEN,
        LOST=_LOST,
    ),
    _S.LOGGING_IN: _row(
        _S.LOGGING_IN,
        LOGIN="refuse_second_login",
        REQUEST="carry_out",
        BAD_FRAME="complain",
        ADMITTED_INSIDE=(_S.INSIDE, NOTHING),
        ADMITTED_OUTER=(_S.OUTER, NOTHING),
        TURNED_AWAY=_END,
        OVERDUE=NOTHING,
        RETIRE=_END,
        IDLE=NOTHING,
        END=_END,
        BROKEN=_BROKEN,
        LOST=_LOST,
    ),
    _S.INSIDE: _row(_S.INSIDE, ENTERING=(_S.MOVING, NOTHING), **_LOGGED_IN),
    _S.OUTER: _row(_S.OUTER, **_LOGGED_IN),
    _S.MOVING: _row(
        _S.MOVING,
        ENTERED=(_S.INSIDE, NOTHING),
        STAYED=(_S.INSIDE, NOTHING),
        **_LOGGED_IN,
    ),
    _S.DRAINING: _row(
        _S.DRAINING,
        LOGIN=NOTHING,
        REQUEST=NOTHING,
        BAD_FRAME=NOTHING,
        ENTERED=NOTHING,
        STAYED=NOTHING,
        OVERDUE=NOTHING,
        RETIRE=NOTHING,
        IDLE=_END,
        END=_END,
        BROKEN=_BROKEN,
        LOST=_LOST,
    ),
    _S.CLOSING: _row(_S.CLOSING, **{**_GOING, "LOST": _LOST}),
    _S.CLOSED: _row(_S.CLOSED, **_GOING),
}

"""One connection: who it is, where it stands, and what may happen next (pages 3.1 and 3.4).

The protocol hands it payloads and losses, the sweep hands it time, delivery writes to it and ends
it, methods carry out its requests. What may happen when stands in :mod:`imd.websocket.states`.
It knows no WebSocket: frames go out through a :class:`Wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imd.domain.caller import Caller
from imd.domain.client_types import ClientType
from imd.domain.errors import ImError, InvalidInput, RateLimited
from imd.websocket.room import Method, Room, Wire
from imd.websocket.states import IMPOSSIBLE, TABLE, Event, State
from imd.websocket.turns import Turn, Turns
from imd.wire.closing import REASONS, Close
from imd.wire.codec import convert
from imd.wire.frames import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    NO_ID,
    NO_METHOD,
    REFUSED,
    BadFrame,
    Call,
    error_frame,
    parse_call,
    refusal_data,
    result_frame,
    text_frame,
)

# Ticks (seconds) that a close handshake may take, and that a peer which does not read is given.
CLOSE_GRACE, SLOW_GRACE = 3, 1
#: ms during which an expired token is still taken at login (page 2.1)
LEEWAY = 30_000
#: bad frames, or refusals for the rate, in a row that end a connection (pages 2.7 and 3.4)
PATIENCE = 10
#: unanswered requests at which reading stops, and at which it goes on
MOST_WAITING, FEW_WAITING = 256, 128

Write = Callable[[bytes], object]


_NOBODY = Caller()


class Link:
    """A connection from its handshake to its end."""

    __slots__ = (
        "address", "bad", "caller", "client", "delay", "expires_at", "heard", "held", "look",
        "pinged", "rated", "reading", "room", "sends", "session_id", "since", "stalled", "state",
        "turns", "user_id", "wire", "write",
    )  # fmt: skip

    def __init__(self, room: Room, wire: Wire, address: str) -> None:
        self.room, self.wire = room, wire
        #: where it comes from, which refused credentials are counted by; "" once logged in
        self.address = address
        self.state = State.ANONYMOUS
        self.caller, self.client, self.user_id = _NOBODY, ClientType.PATIENT, ""
        #: where it is inside; what methods take for ``session_id`` by default
        self.session_id: str | None = None
        #: ms; None where nothing expires
        self.expires_at: int | None = None
        #: how delivery writes to it: at once, or into ``held`` until the login is answered
        self.write: Write = wire.put
        self.held: list[bytes] | None = None
        self.turns: Turns | None = None
        #: sends that are not answered yet, by session and key
        self.sends: dict[tuple[str, str], Any] | None = None
        #: bad frames, and refusals for the rate, in a row
        self.bad = self.rated = 0
        #: ticks: of the last frame, of the last ping, of the last change of state that is timed
        self.heard = self.pinged = self.since = room.tick
        self.look = 0
        #: ms that a draining server asks it to wait
        self.delay = 0
        #: ticks since when the peer does not read, and since when it is not read from
        self.stalled: int | None = None
        self.reading: int | None = None

    # ---- what delivery asks

    @property
    def fingerprint(self) -> str | None:
        return self.caller.fingerprint

    @property
    def sid(self) -> frozenset[str] | None:
        return self.caller.sid

    def origin_of(self, session_id: str, client_msg_id: str | None) -> Any:
        """The unanswered send with this key, if any."""
        if self.sends is None or client_msg_id is None:
            return None
        return self.sends.get((session_id, client_msg_id))

    def end(self, code: Close, delay: int = 0) -> None:
        """Close it; ``delay`` (ms) is what a draining server asks to wait."""
        self.fire(Event.END, code, delay)

    @property
    def is_gone(self) -> bool:
        """Closing or closed: answers go nowhere."""
        return self.state in _GONE

    # ---- the machine

    def fire(self, event: Event, *details: Any) -> None:
        """Look up what follows from the event, and do it."""
        state, output = TABLE[self.state][event]
        if output == IMPOSSIBLE:
            raise RuntimeError(f"{event} in {self.state}")
        self.state = state
        if output:
            getattr(self, output)(*details)

    def log_in(self, turn: Turn) -> None:
        draining = self.room.draining
        if draining is not None:
            self.end(Close.DRAINING, draining())
        else:
            # Sooner than the end of a login's time, where that is long.
            self.look_within(self.pinged + self.room.settings.heartbeat - self.room.tick)
            self._queue(turn)

    def demand_login(self, *said: Any) -> None:
        """Something else than a login came first, or nothing in time."""
        self._say_error(said[0].id if said else NO_ID, REFUSED, "Log in first.", _LOGIN_FIRST)
        self.say_goodbye(Close.UNAUTHENTICATED)

    def refuse_second_login(self, turn: Turn) -> None:
        self.complain(BadFrame(INVALID_REQUEST, "This socket is logged in.", turn.call.id))

    def carry_out(self, turn: Turn) -> None:
        self.bad = 0
        self._queue(turn)

    def complain(self, bad: BadFrame, data: dict[str, object] | None = None) -> None:
        """Say what is wrong with a frame; ten in a row are enough."""
        self._say_error(bad.id, bad.code, bad.sentence, data)
        self.bad += 1
        if self.bad >= PATIENCE:
            self.end(Close.BAD_FRAMES)

    def finish(self, code: Close, delay: int) -> None:
        """Answer what is in flight, begin nothing, then close."""
        self.delay = delay
        if self.turns is not None:
            self.turns.clear()
        if self.turns is None:
            self.fire(Event.IDLE, code, delay)

    def say_goodbye(self, code: Close, delay: int = 0) -> None:
        self.room.closes[int(code)] += 1
        say = self.room.log.debug if code in _USUAL else self.room.log.info
        say("socket closed: {code}", code=int(code), user_id=self.user_id, client=self.client)
        self.wire.close(code, REASONS[code].format(delay=delay))
        # A peer that does not read cannot take part in a farewell.
        hurry = CLOSE_GRACE - SLOW_GRACE if code is Close.SLOW_CONSUMER else 0
        self.withdraw()
        self.since -= hurry

    def part(self) -> None:
        """The connection is gone."""
        self.withdraw()
        self.room.looks.forget(self)
        self.room.closed(self)

    def withdraw(self) -> None:
        """It is closing or gone: nothing is delivered to it, nothing more is begun."""
        self.since = self.room.tick
        self.look_within(SLOW_GRACE + 1)
        self.write, self.held = _drop, None
        self.room.admission.leave(self)
        if self.turns is not None:
            self.turns.clear()

    # ---- from the wire

    def received(self, payload: bytes) -> None:
        """A text frame came."""
        try:
            call = parse_call(payload)
        except BadFrame as bad:
            self.fire(Event.BAD_FRAME, bad)
            return
        method = self.room.methods.get(call.method)
        if method is None:
            self.fire(Event.BAD_FRAME, BadFrame(NO_METHOD, "There is no such method.", call.id))
        elif call.method == "login":
            self.fire(Event.LOGIN, Turn(call, method.function, False))
        elif self.state is State.ANONYMOUS:
            self.fire(Event.REQUEST, call)
        else:
            self._request(call, method)

    def _request(self, call: Call, method: Method) -> None:
        try:
            params = convert(call.params, method.model)
        except ImError as error:
            bad = BadFrame(INVALID_PARAMS, error.detail, call.id)
            self.fire(Event.BAD_FRAME, bad, refusal_data(error))
            return
        self.fire(Event.REQUEST, Turn(call, method.function, method.grouped, params))

    def stall(self) -> None:
        """The peer does not read: begin no requests until it does."""
        if self.stalled is None:  # the transport says so again with each write
            self.stalled = self.room.tick
            self.look_within(self.room.settings.peer_timeout)

    def flow(self) -> None:
        """Everything written has gone out."""
        self.stalled = None
        if self.turns is not None:
            self.turns.go_on()

    # ---- requests

    def _queue(self, turn: Turn) -> None:
        if self.turns is None:
            self.turns = Turns(self, self._blocked, self._idle)
        turns = self.turns
        turns.add(turn)
        if len(turns) >= MOST_WAITING and self.reading is None:
            self.reading = self.room.tick
            self.wire.stop_reading()

    def _blocked(self) -> bool:
        return self.stalled is not None

    def _idle(self) -> None:
        self.turns = None
        self.relax()
        if self.state is State.DRAINING:
            self.fire(Event.IDLE, Close.DRAINING, self.delay)

    def relax(self) -> None:
        """A request is done: read on when few are left."""
        if self.reading is not None and (self.turns is None or len(self.turns) <= FEW_WAITING):
            self.reading = None
            self.heard = self.room.tick
            self.wire.go_on_reading()

    def put(self, payload: bytes) -> None:
        """Write a JSON-RPC frame, unless it is closing."""
        if self.state not in _GONE:
            self.wire.put(text_frame(payload))

    def answer(self, call: Call, encoded: bytes) -> None:
        """The result of a request, which is JSON already; none where none is wanted."""
        self.rated = 0
        if call.wants_answer:
            self.put(result_frame(call.id, encoded))
        self.relax()

    def refuse(self, call: Call, error: ImError) -> None:
        """A request was refused; ten refusals for the rate in a row are enough."""
        self._say_error(
            call.id,
            INVALID_PARAMS if isinstance(error, WrongParams) else REFUSED,
            error.detail,
            refusal_data(error),
        )
        self.rated = self.rated + 1 if isinstance(error, RateLimited) else 0
        if self.rated >= PATIENCE:
            self.end(Close.RATE_LIMITED)
        self.relax()

    def fail(self, call: Call) -> None:
        """A fault of the program, which is in the log: the request was not carried out."""
        self._say_error(call.id, REFUSED, ImError.sentence, {"code": ImError.code})
        self.relax()

    def _say_error(self, id_: Any, code: int, said: str, data: dict[str, object] | None) -> None:
        if id_ is not NO_ID and self.state is not State.CLOSED:
            self.wire.put(text_frame(error_frame(id_, code, said, data)))

    # ---- time

    def look_within(self, ticks: float) -> None:
        """Something may be due in so many ticks."""
        self.room.looks.within(self, self.room.tick, ticks)

    def sweep(self, now: int) -> None:
        """Do what is due; ``now`` in ms is compared with the end of the token."""
        tick, settings = self.room.tick, self.room.settings
        if self.state is State.CLOSING:
            if tick - self.since > CLOSE_GRACE:
                self.wire.abort()
            left = self.since + CLOSE_GRACE + 1.0 - tick
        elif self.state is State.ANONYMOUS:
            if tick - self.since >= settings.login_timeout:
                self.fire(Event.OVERDUE)
            left = self.since + settings.login_timeout - tick
        else:
            left = self._sweep_open(now, tick)
        if self.state is not State.CLOSED:
            self.look_within(left)

    def _sweep_open(self, now: int, tick: int) -> float:
        """The same of one that has logged in, one thing at a time; in how many ticks to look."""
        settings, never = self.room.settings, float("inf")
        expires = never if self.expires_at is None else (self.expires_at - now) / 1000
        stuck = never if self.stalled is None else self.stalled + settings.peer_timeout - tick
        silent = never if self.reading is not None else self.heard + settings.peer_timeout - tick
        if expires <= 0:
            self.end(Close.UNAUTHENTICATED)
        elif stuck <= 0:
            self.end(Close.SLOW_CONSUMER)
        elif silent <= 0:
            self.wire.abort()
        elif tick - self.pinged >= settings.heartbeat:
            self.pinged = tick
            self.wire.ping()
        return min(self.pinged + settings.heartbeat - tick, expires, stuck, silent)

    def hold(self) -> None:
        """Keep what delivery writes until :meth:`release`, so that the login's result is first."""
        self.held = []
        self.write = self.held.append

    def release(self) -> None:
        held, self.held = self.held, None
        if self.state not in _GONE:
            self.write = self.wire.put
            for frame in held or ():
                self.wire.put(frame)


class WrongParams(InvalidInput):
    """Params that do not fit the method: -32602 instead of -32000."""


_USUAL = frozenset({Close.NORMAL, Close.DRAINING})
_GONE = frozenset({State.CLOSING, State.CLOSED})
_LOGIN_FIRST: dict[str, object] = {"code": "unauthenticated"}


def _drop(late: object) -> None:
    """What comes too late."""

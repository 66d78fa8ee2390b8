"""Page 6, rule 5: every state answers every event, in one table."""

from __future__ import annotations

import pytest

from imd.delivery.admission import Admission as DeliveryAdmission
from imd.delivery.registry import Link as DeliveryLink
from imd.delivery.registry import Origin
from imd.websocket.link import Link
from imd.websocket.methods import Send
from imd.websocket.room import Admission
from imd.websocket.states import IMPOSSIBLE, NOTHING, TABLE, Event, State

S, E = State, Event
PAIRS = [(state, event) for state in State for event in Event]
GOING = {S.CLOSING, S.CLOSED}


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_has_a_row(state: State, event: Event) -> None:
    following, output = TABLE[state][event]
    assert isinstance(following, State)
    assert output in (IMPOSSIBLE, NOTHING) or callable(getattr(Link, output))
    if output == IMPOSSIBLE:
        assert following is state


@pytest.mark.parametrize("state", State)
def test_every_state_may_end(state: State) -> None:
    assert TABLE[state][E.LOST][0] is S.CLOSED
    assert TABLE[state][E.END][0] in GOING
    assert TABLE[state][E.BROKEN][0] in GOING


@pytest.mark.parametrize("event", Event)
def test_from_closing_nothing_leads_back(event: Event) -> None:
    assert TABLE[S.CLOSED][event] == (S.CLOSED, NOTHING)
    following, output = TABLE[S.CLOSING][event]
    assert (following, output) == ((S.CLOSED, "part") if event is E.LOST else (S.CLOSING, NOTHING))


def test_only_a_login_leads_in() -> None:
    into = {
        (state, event)
        for state, event in PAIRS
        if TABLE[state][event][0] in {S.INSIDE, S.OUTER} and state not in {S.INSIDE, S.OUTER}
    }
    assert into == {
        (S.LOGGING_IN, E.ADMITTED_INSIDE),
        (S.LOGGING_IN, E.ADMITTED_OUTER),
        (S.MOVING, E.ENTERED),
        (S.MOVING, E.STAYED),
    }
    assert [e for e in Event if TABLE[S.ANONYMOUS][e][0] is S.LOGGING_IN] == [E.LOGIN]
    for event in (E.REQUEST, E.BAD_FRAME, E.OVERDUE):
        assert TABLE[S.ANONYMOUS][event] == (S.CLOSING, "demand_login")


def test_a_draining_socket_begins_nothing() -> None:
    for event in (E.LOGIN, E.REQUEST, E.BAD_FRAME):
        assert TABLE[S.DRAINING][event] == (S.DRAINING, NOTHING)


def test_the_table_is_told_where_it_is_impossible() -> None:
    possible = {pair for pair in PAIRS if TABLE[pair[0]][pair[1]][1] != IMPOSSIBLE}
    impossible = set(PAIRS) - possible
    assert (S.OUTER, E.ENTERING) in impossible
    assert (S.ANONYMOUS, E.ADMITTED_INSIDE) in impossible
    assert (S.INSIDE, E.TURNED_AWAY) in impossible


def test_rooms_that_do_not_know_each_other_fit() -> None:
    """Checked by mypy: what the service room puts together."""

    def as_delivery_sees(link: Link) -> DeliveryLink:
        return link

    def as_a_send_is_seen(send: Send) -> Origin:
        return send

    def as_the_socket_sees(admission: DeliveryAdmission) -> Admission:
        return admission

    fits = [as_delivery_sees, as_a_send_is_seen, as_the_socket_sees]
    assert len(fits) == 3

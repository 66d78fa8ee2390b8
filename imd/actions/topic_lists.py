"""Lists and figures of topics (page 2.6), each from one bounded query.

A user's token sees the topics of its own sessions; a service names a user, a session or a team.
"""

from __future__ import annotations

from imd.actions.access import enter
from imd.actions.pages import MOST_BYTES
from imd.actions.ports import House, Transaction
from imd.actions.queries import TopicQuery as Query
from imd.domain.caller import Caller
from imd.domain.errors import FieldError, InvalidInput
from imd.domain.ids import UserId
from imd.domain.session_types import SessionType
from imd.domain.topic import STATE_MARKS, ListedTopic
from imd.wire import answers, cursor, topics
from imd.wire.codec import encode

Key = tuple[int, str] | None


def _query(caller: Caller, request: topics.TopicFilter, *, free: bool = False) -> Query:
    """The store's query for a request; ``free``: a service may name nothing at all."""
    user_id = caller.viewer(request.user_id)
    if user_id is None and not free and request.session_id is None and request.team_code is None:
        said = "name a user, a session or a team"
        names = ("user_id", "session_id", "team_code")
        raise InvalidInput(*(FieldError(name, said) for name in names))
    status, reply = _marks(request)
    return Query(
        user_id=user_id,
        session_id=request.session_id,
        team_codes=request.team_code,
        types=request.type,
        status=status,
        reply=reply,
        start=request.start,
        end=request.end,
        only=caller.sid,
    )


def _marks(request: topics.TopicFilter) -> tuple[int | None, int | None]:
    """``state`` in terms of status and reply; it may not contradict them."""
    if request.state is None:
        return request.status, request.reply
    status, reply = STATE_MARKS[request.state]
    if request.status not in (None, status) or request.reply not in (None, reply):
        raise InvalidInput.of("state", "says another thing than status or reply")
    return status, reply


def _key(after: str | None) -> Key:
    if after is None:
        return None
    time, topic_id = cursor.unpack(after, int, str)
    return int(time), str(topic_id)


async def _page(
    house: House, caller: Caller, query: Query, after: str | None, size: int
) -> answers.Page[ListedTopic]:
    key = _key(after)

    def look(transaction: Transaction) -> list[ListedTopic]:
        _check(transaction, caller, query)
        return transaction.topics.page(query, key, size + 1)

    return _cut(await house.db.read(look), size)


def _check(transaction: Transaction, caller: Caller, query: Query) -> None:
    """A session that is named must be there, and the user a member of it (page 2.1)."""
    if query.session_id is not None:
        viewer = None if query.user_id is None else UserId(query.user_id)
        enter(transaction, caller, query.session_id, viewer)


def _cut(found: list[ListedTopic], size: int) -> answers.Page[ListedTopic]:
    """The page that ends after ``size`` topics, or early at MOST_BYTES (page 2.1)."""
    shown: list[ListedTopic] = []
    room = MOST_BYTES
    for topic in found[:size]:
        room -= len(encode(topic))
        if room < 0 and shown:
            break
        shown.append(topic)
    more = len(found) > len(shown)
    return answers.Page(shown, cursor.pack(shown[-1].create_time, shown[-1].id) if more else None)


async def list_topics(
    house: House, caller: Caller, request: topics.ListTopics
) -> answers.Page[ListedTopic]:
    """Topics, newest first."""
    query = _listed(house, caller, request)
    return await _page(house, caller, query, request.cursor, request.size)


def _listed(house: House, caller: Caller, request: topics.ListTopics) -> Query:
    """The query; with ``overdue`` for what has waited longer than it may (page 4.4)."""
    query = _query(caller, request, free=request.overdue)
    if not request.overdue:
        return query
    waiting, unreplied = (query.status, query.reply), STATE_MARKS["unreplied"]
    if any(mark not in (None, wanted) for mark, wanted in zip(waiting, unreplied, strict=True)):
        raise InvalidInput.of("overdue", "only unreplied topics can be overdue")
    latest = house.reply_clock.latest(house.clock.now())
    return query._replace(status=unreplied[0], reply=unreplied[1], latest=latest)


async def list_health_topics(
    house: House, caller: Caller, request: topics.ListHealthTopics
) -> answers.Page[ListedTopic]:
    """Topics of health consults (session type 13)."""
    query = _health(_listed(house, caller, request))
    return await _page(house, caller, query, request.cursor, request.size)


def _health(query: Query) -> Query:
    health = int(SessionType.HEALTH_CONSULT)
    wanted = [health] if query.types is None or health in query.types else []
    return query._replace(types=wanted)


async def list_health_team_topics(
    house: House, caller: Caller, request: topics.ListHealthTeamTopics
) -> answers.Teams:
    """Health consults by team: each team's whole count, and the page's topics among them."""
    query, key = _health(_query(caller, request)), _key(request.cursor)

    def look(transaction: Transaction) -> tuple[list[ListedTopic], dict[str, int]]:
        _check(transaction, caller, query)
        found = transaction.topics.page(query, key, request.size + 1)
        return found, transaction.topics.count_by_team(query)

    found, counts = await house.db.read(look)
    page = _cut(found, request.size)
    teams = [
        answers.TeamTopics(team, counts[team], [t for t in page.items if t.team_code == team])
        for team in dict.fromkeys(request.team_code)
        if counts.get(team)
    ]
    return answers.Teams(teams, page.next)


async def list_topics_by_type(
    house: House, caller: Caller, request: topics.ListTopicsByType
) -> answers.Page[ListedTopic]:
    """A user's topics in one state."""
    status, reply = STATE_MARKS[request.state]
    query = Query(
        user_id=caller.acting_for(request.user_id),
        types=request.type,
        status=status,
        reply=reply,
        only=caller.sid,
    )
    return await _page(house, caller, query, request.cursor, request.size)


async def count_topics_by_type(
    house: House, caller: Caller, request: topics.CountTopicsByType
) -> answers.StateCounts:
    """How many topics of a user are in each state; ``count`` is those of ``state``, or all."""
    query = Query(user_id=caller.acting_for(request.user_id), types=request.type, only=caller.sid)

    def count(transaction: Transaction) -> dict[tuple[int, int], int]:
        return transaction.topics.count(query)

    by_state = _by_state(await house.db.read(count))
    wanted = sum(by_state.values()) if request.state is None else by_state[request.state]
    return answers.StateCounts(count=wanted, **by_state)


def _by_state(found: dict[tuple[int, int], int]) -> dict[str, int]:
    return {word: found.get(marks, 0) for word, marks in STATE_MARKS.items()}


async def count_topic_replies(
    house: House, caller: Caller, request: topics.CountTopicReplies
) -> answers.ReplyCounts:
    """Reply statistics: expired topics stay out of ``total`` and of the rate (page 2.6)."""
    query = Query(
        user_id=caller.viewer(request.user_id),
        team_codes=request.team_code,
        types=request.type,
        start=request.start,
        end=request.end,
        only=caller.sid,
    )

    def count(transaction: Transaction) -> tuple[dict[tuple[int, int], int], float | None]:
        return transaction.topics.count(query), transaction.topics.median_reply(query)

    found, median = await house.db.read(count)
    by_state = _by_state(found)
    total = sum(by_state.values()) - by_state["expired"]
    answered = by_state["ongoing"] + by_state["replied"]
    return answers.ReplyCounts(
        total=total,
        reply_rate=answered / total if total else None,
        median_reply_ms=median,
        **by_state,
    )

"""How each row of the table is asked: the fields of its request, by the scene that it plays in.

Paths are filled from the route's own template; what else a request needs stands here by the row's
name. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from imd.rest.routes import ROUTES
from imd.rest.table import Route, parameters_of
from tests.authorisation.table import KEYS

BY_NAME: Final = {route.name: route for route in ROUTES}
Fields = dict[str, Any]


class Scene(NamedTuple):
    """One object to be asked about: a session with all that hangs on it, and a user."""

    session_id: str
    topic_id: str
    message_id: str
    #: a member of the session, whom a service names
    member: str
    #: a member whom nobody needs
    guest: str
    #: the user that user routes are about
    user: str
    #: who asks; for a key, whom it asks for
    me: str
    #: somebody who has never been seen
    newcomer: str


class Cell(NamedTuple):
    """One request to be made."""

    row: str
    caller: str
    object: str
    verb: str
    path: str

    @property
    def route(self) -> Route:
        return BY_NAME[self.row.split()[0]]

    @property
    def is_change(self) -> bool:
        return self.verb != "GET"


def _whom(cell: Cell, scene: Scene) -> Fields:
    return {"user_id": scene.user}


def _for(name: str) -> Callable[[Cell, Scene], Fields]:
    """A service names the session's member; a user is itself."""
    return lambda cell, scene: {name: scene.member} if cell.caller in KEYS else {}


def _with(more: Fields, *parts: Callable[[Cell, Scene], Fields]) -> Callable[[Cell, Scene], Fields]:
    def fields(cell: Cell, scene: Scene) -> Fields:
        found = dict(more)
        for part in parts:
            found |= part(cell, scene)
        return found

    return fields


def _opening(cell: Cell, scene: Scene) -> Fields:
    """Doctors may make sessions of type 2; those that are there have type 9."""
    new = cell.object == "nothing"
    return {
        "session_id": scene.session_id,
        "session_name": "n",
        "session_type": 2 if new else 9,
        "participants": [f"{scene.me}:doctor", scene.guest],
    }


def _starting(cell: Cell, scene: Scene) -> Fields:
    return {"topic_id": f"{scene.topic_id}-new", "start_by": scene.me}


def _session(cell: Cell, scene: Scene) -> Fields:
    return {"session_id": scene.session_id}


_LOOK = _with({}, _for("user_id"))
_TYPED = _with({"type": "9,13"}, _whom)

#: row -> fields besides those of the path
_FIELDS: Final[dict[str, Callable[[Cell, Scene], Fields]]] = {
    "get_badge": _whom,
    "login": _whom,
    "logout": _with({"client_id": "other"}, _whom),
    "put_user": _with({"title": "t"}),
    "put_users": lambda cell, scene: {"users": [{"user_id": scene.user, "title": "t"}]},
    "set_user_status": _with({"app_state": "background"}),
    "open_session": _opening,
    "list_sessions": _whom,
    "list_sessions_by_type": _TYPED,
    "count_sessions_by_type": _TYPED,
    "pin_session": _LOOK,
    "unpin_session": _LOOK,
    "mute_session": _LOOK,
    "unmute_session": _LOOK,
    "set_session_status": _with({"status": 1}),
    "rename_session": _with({"name": "n"}),
    "list_recent_sessions": _whom,
    "session_exists": _session,
    "post_message": _with({"type": 1, "content": "n"}, _for("sender_id")),
    "post_message into topic": _with(
        {"type": 1, "content": "n"},
        _for("sender_id"),
        lambda cell, scene: {"topic_id": scene.topic_id},
    ),
    "list_unread": _LOOK,
    "edit_message": _with({"content": {"n": 1}}),
    "mark_read": _LOOK,
    "count_all_unread": _whom,
    "count_unread": _LOOK,
    "start_topic": _starting,
    "start_topic_in_session": _with({}, _starting, _session),
    "start_topic_in_session making": _with({}, _starting, _opening),
    "update_topic": _with({"name": "n"}),
    "end_topic": _with({"note": "n"}, _for("user_id")),
    "enter_topic": _LOOK,
    "list_topics": _whom,
    "list_topics of session": _session,
    "list_topics overdue": _with({"overdue": 1}, _whom),
    "list_health_topics": _whom,
    "list_health_topics of session": _session,
    "list_health_team_topics": _with({"team_code": "team"}, _whom),
    "list_topics_by_type": _with({"state": "unreplied"}, _whom),
    "count_topics_by_type": _whom,
    "count_topic_replies": _whom,
    "count_consults": lambda cell, scene: {"by": "type"},
    "replace_participants": lambda cell, scene: {
        "old_participant_id": scene.guest,
        "new_participant_id": scene.newcomer,
    },
}
#: rows about a topic that may not be live yet
STARTS: Final = frozenset(
    {"start_topic", "start_topic_in_session", "start_topic_in_session making"}
)


def fields_of(cell: Cell, scene: Scene) -> Fields:
    """The fields of the request besides the path's."""
    ask = _FIELDS.get(cell.row)
    return {} if ask is None else ask(cell, scene)


def path_of(cell: Cell, scene: Scene) -> str:
    """The path with the scene's names in it."""
    newcomer = cell.row == "put_participants"
    values = {
        "session_id": scene.session_id,
        "topic_id": "current" if cell.row.endswith(" current") else scene.topic_id,
        "message_id": scene.message_id,
        "user_id": scene.user,
        "participant_id": scene.guest,
        "participant_ids": scene.newcomer if newcomer else scene.guest,
    }
    return cell.path.format(**{name: values[name] for name in parameters_of(cell.path)})

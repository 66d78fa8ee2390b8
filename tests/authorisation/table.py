"""Who may do what: THE table of authorisation, as one letter a cell (pages 2.1 to 2.7 and 3.2).

A row is named like its route; further words tell variants apart. Its three columns are the object:
*mine* is what the two members may see, *theirs* belongs to strangers, *nothing* does not exist. In
each column stand the callers, in the order of CALLERS. A route or method without a row fails.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: the callers of REST, in the order of the letters
CALLERS: Final = (
    "anonymous",
    "patient member", "patient other", "doctor member", "doctor other", "removed member",
    "read key", "write key", "admin key",
)  # fmt: skip
USERS: Final = CALLERS[1:6]
MEMBERS: Final = ("patient member", "doctor member")
KEYS: Final = CALLERS[6:]
OBJECTS: Final = ("mine", "theirs", "nothing")


class Verdict(NamedTuple):
    status: int
    code: str | None = None


VERDICTS: Final = {
    ".": Verdict(200),
    "+": Verdict(201),
    "-": Verdict(204),
    "A": Verdict(401, "unauthenticated"),
    "F": Verdict(403, "forbidden"),
    "X": Verdict(403, "forbidden_user"),
    "K": Verdict(403, "missing_scope"),
    "E": Verdict(403, "not_the_sender"),
    "N": Verdict(403, "not_a_member"),
    "S": Verdict(404, "session_not_found"),
    "T": Verdict(404, "topic_not_found"),
    "U": Verdict(404, "user_not_found"),
    "i": Verdict(422, "invalid"),
}

# What many rows say: mine, theirs, nothing.
_SEE: Final = ("A.S.SS...", "ASSSSS...", "ASSSSSSSS")
_CHANGE: Final = ("A.S.SSK..", "ASSSSSK..", "ASSSSSKSS")
_MAKE: Final = ("A+S+SSK++", "ASSSSSK++", "ASSSSSKSS")
_STAFF: Final = ("AFS.SSK..", "ASSSSSK..", "ASSSSSKSS")
_AUTHOR: Final = ("A.SESSK..", "ASSSSSK..", "ASSSSSKSS")
_TOPIC: Final = ("A.T.TT...", "ATTTTT...", "ATTTTTTTT")
_OWN: Final = ("A........", "AXXXXX...", "AXXXXX...")
_USER: Final = ("A........", "AUUUUU...", "AUUUUUUUU")

#:                                    mine          theirs        nothing
REST: Final = {
    # -- users: "mine" is the caller's own entry, or a member's for a key
    "get_badge":                      _OWN,
    "login":                         ("A.....KK.", "AXXXXXKK.", "AXXXXXKKU"),
    "logout":                        ("A-----K--", "AXXXXXK--", "AXXXXXK--"),
    "get_user":                       _USER,
    "put_user":                      ("AFFFFFKK.", "AFFFFFKK.", "AFFFFFKK+"),
    "put_users":                     ("AFFFFFKK.", "AFFFFFKK.", "AFFFFFKK."),
    "get_user_status":                _USER,
    "set_user_status":               ("A.....K..", "AXXXXXK..", "AXXXXXKUU"),
    "get_consult_time":               _USER,
    # -- sessions; a new id is no secret of anyone, so "nothing" is made by whom may make it
    "open_session":                  ("A.S.SSK..", "ASSSSSK..", "AFF+++K++"),
    "list_sessions":                  _OWN,
    "get_session":                    _SEE,
    "list_sessions_by_type":          _OWN,
    "count_sessions_by_type":         _OWN,
    "pin_session":                    _CHANGE,
    "unpin_session":                  _CHANGE,
    "mute_session":                   _CHANGE,
    "unmute_session":                 _CHANGE,
    "set_session_status":             _CHANGE,
    "rename_session":                 _CHANGE,
    "list_recent_sessions":           _OWN,
    "session_exists":                ("A........", "A........", "A........"),
    # -- messages
    "post_message":                   _MAKE,
    "post_message into topic":        _MAKE,
    "list_messages":                  _SEE,
    "list_unread":                    _SEE,
    "get_message":                    _SEE,
    "edit_message":                   _AUTHOR,
    "recall_message":                 _AUTHOR,
    "mark_read":                      _CHANGE,
    "list_session_topic_messages":    _SEE,
    "list_topic_messages":            _TOPIC,
    "count_all_unread":               _OWN,
    "count_unread":                   _SEE,
    # -- topics
    "start_topic":                    _MAKE,
    "start_topic_in_session":         _MAKE,
    "start_topic_in_session making": ("A+S+SSK++", "ASSSSSK++", "AFF+++K++"),
    "get_topic":                      _TOPIC,
    "update_topic":                  ("AFFFFFK..", "AFFFFFK..", "AFFFFFKTT"),
    "topic_ended":                    _SEE,
    "topic_ended current":            _SEE,
    "end_topic":                      _CHANGE,
    "enter_topic":                    _MAKE,
    "list_topics":                    _OWN,
    "list_topics of session":         _SEE,
    "list_topics overdue":            _OWN,
    "list_health_topics":             _OWN,
    "list_health_topics of session":  _SEE,
    "list_health_team_topics":        _OWN,
    "list_topics_by_type":            _OWN,
    "count_topics_by_type":           _OWN,
    "count_topic_replies":            _OWN,
    "count_consults":                ("AFFFFF...", "AFFFFF...", "AFFFFF..."),
    # -- participants
    "list_participants":              _SEE,
    "list_avatars":                   _SEE,
    "get_participants":               _SEE,
    "put_participants":               _STAFF,
    "remove_participants":            _STAFF,
    "get_avatar":                     _SEE,
    "replace_participants":           _STAFF,
}  # fmt: skip

#: rows whose answer tells a user whether an id is taken, because it may make a session of that id
TELLS: Final = frozenset({"open_session", "start_topic_in_session making"})

#: what a key that names nobody is told on personal routes; what the others do there is in REST
NEEDS_USER: Final = frozenset({
    "get_badge", "login", "logout", "list_sessions", "list_sessions_by_type",
    "count_sessions_by_type", "pin_session", "unpin_session", "mute_session",
    "unmute_session", "list_recent_sessions",
    "post_message", "post_message into topic", "list_unread", "mark_read", "count_all_unread",
    "count_unread", "end_topic", "enter_topic", "list_topics", "list_health_topics",
    "list_topics_by_type", "count_topics_by_type",
})  # fmt: skip

#: the callers of the socket; a key opens none (its login is refused)
SOCKET_CALLERS: Final = (*CALLERS[:6], "admin key")
#: "~" is not reached, because the login was refused and the connection closed with 4401
SOCKET: Final = {
    #                 mine       theirs     nothing
    "login":        ("A.S.SSA", "ASSSSSA", "ASSSSSA"),
    "send":         ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "history":      ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "ack":          ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "read":         ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "typing":       ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "enter":        ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "sessions":     ("A.....~", "A.....~", "A.....~"),
    "topic":        ("A.S.SS~", "ASSSSS~", "ASSSSS~"),
    "logout":       ("A.....~", "A.....~", "A.....~"),
}  # fmt: skip

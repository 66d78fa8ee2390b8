"""The contract's routes and methods with their fields, as data, and values that fit nowhere.

:mod:`tests.e2e.mutations` draws from them. They are written down from page 2 and page 3, not read
from the program, so that a route that the program forgets is still asked for.
"""

from __future__ import annotations

from typing import Any

USERS = ("D1", "D2", "p1", "p2", "nobody")
SESSIONS = ("s1", "s2", "s3", "p1_t1_2", "p1_t1_2", "absent")
TOPICS = ("t1", "t1", "t2", "gone")

#: verb(s), path, fields: the contract of page 2 in one place
ROUTES = """
GET /application/badge_no user_id
POST /users/login user_id client_id token platform role
GET /users/{user}
PUT /users/{user} kind name sex birthdate avatar openid team_code title
GET /users/{user}/status
PUT,POST /users/{user}/status app_state client_id
GET /users/{user}/consult/time
POST /sessions session_id session_name session_type participants business_type patient team_code \
consult_code consult_type doctor gp specialist
GET /sessions user_id type business_type status cursor size
GET /sessions/{session}/session user_id
GET /sessions/sessionListByType user_id type status cursor size
GET /sessions/sessionCountByType user_id type status
PUT,DELETE /sessions/{session}/sticky user_id
PUT,DELETE /sessions/{session}/mute user_id
PUT,POST /sessions/{session}/status status
POST,PUT /sessions/{session}/name name
GET /sessions/recent user_id business_type kind type since cursor size
GET /sessions/isExist session_id
GET /sessions/unread_message_count user_id
GET /sessions/{session}/unread_message_count user_id
POST /sessions/{session}/messages sender_id sender_name type content client_msg_id topic_id \
business_type
GET /sessions/{session}/messages user_id before after start_msg_id end_msg_id type size order peek
GET /sessions/{session}/messages/unread user_id size peek
GET,DELETE /sessions/{session}/messages/{message}
PUT /sessions/{session}/messages/{message} content version
PUT /sessions/{session}/read user_id seq
GET /sessions/{session}/topics/{topic}/messages user_id before after size
GET /sessions/topic/{topic}/messages user_id before after size
POST /sessions/{session}/topics topic_id name description start_by type team_code messages
POST /sessions/topics topic_id name start_by session_id session_type session_name participants
GET /sessions/{topic}/topics
GET /sessions/topics/{topic}
PUT,POST /sessions/topics/{topic} name description team_code type reply
GET,PUT,POST /sessions/{session}/topics/{topic}/ended user_id note
PUT,POST /sessions/{session}/topics/{topic}/into user_id
GET /sessions/topics user_id session_id team_code type state status reply start end cursor size
GET /sessions/healthTopics user_id state status reply start end size
GET /sessions/healthTeamTopics user_id team_code state size
GET /sessions/topicListByType user_id type state size
GET /sessions/topicListCountByType user_id type state
GET /sessions/topics/count/reply user_id team_code type start end
GET /sessions/{session}/participants
GET /sessions/{session}/participants/avatars
GET /sessions/{session}/participants/{users}
PUT,POST /sessions/{session}/participants/{users} role
DELETE /sessions/{session}/participants/{users}
GET /sessions/{session}/participants/{user}/avatars
POST,PUT /sessions/{session}/participant/update old_participant_id new_participant_id role
""".replace("\\\n", "").split("\n")

METHODS = {
    "send": ("session_id", "type", "content", "client_msg_id", "topic_id"),
    "history": ("session_id", "before", "after", "size"),
    "ack": ("session_id", "seq", "read"),
    "read": ("session_id", "seq"),
    "typing": ("session_id",),
    "enter": ("session_id", "after_seq", "epoch"),
    "sessions": ("kind", "business_type", "type", "since", "cursor", "size"),
    "topic": ("session_id",),
    "login": ("token", "client_type", "session_id", "after_seq", "epoch", "user_id"),
}

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1.5,
    1e308, "", " ", "0", "-1", "١٢", "٣", "1e3", "null", ".", "..", "/", "a/b", "a,b",
    "topics", "current", "x" * 129, "长" * 128, "x" * 5000, "\x00", "\x7f", "a\nb",
    "\u202e", "\ufeff", "😀", "é", "e\u0301", "'; DROP TABLE messages;--", '" OR 1=1',
    "%s %(x)s {0}", "${jndi:x}", "<script>", "%00", "%2F", [], {}, [[]], [None], {"": None},
    ["a"] * 501, {"a": {"b": {"c": []}}}, [1, "1", None, {}],
)  # fmt: skip

RAW_JSON = (
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}{}", b"\xff\xfe", b"\xef\xbb\xbf{}",
    b'{"a":1,"a":2}', b'{"type":NaN}', b'{"type":Infinity}', b'{"content":"\\ud800"}',
    b'{"content":"\\u0000"}', b'{"type":' + b"9" * 5000 + b"}",
    b"[" * 100_000, b'{"a":' * 60 + b"1" + b"}" * 60,
    b'{"content":"' + b"x" * 70_000 + b'"}', b"{'a': 1}", b'{"a":1,}',
    b'{"content":"\xed\xa0\x80"}', b'{"type":1e999}', b'{"type":-0}', b'{"type":1.0,"content":"x"}',
    b'\x00{"a":1}', b'{"\\u0000":1}',
)  # fmt: skip

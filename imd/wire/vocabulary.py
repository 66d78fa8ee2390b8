"""What each wire name means, with an example: the words of both API documents (page 1.2).

``schemas`` and the transports' documents read it; a test fails when a model or an answer has a name
that is not here. It knows no routes, methods or rules: those are in the tables and models.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Term(NamedTuple):
    meaning: str
    example: Any


_AT = 1735689600000
_MESSAGE_ID = "019420f2a1b87c3e9d4f5a6b7c8d9e0f"
_DOCTOR, _PATIENT = "D2016008240003", "P350206198001010011"
_TOPIC = "consult-2024-0001"
_MESSAGE = {
    "id": _MESSAGE_ID, "session_id": "session-1", "seq": 7, "topic_id": None,
    "sender_id": _PATIENT, "sender_name": "王小明", "type": 1, "content": "您好", "timestamp": _AT,
    "client_msg_id": "k-1", "business_type": 2, "version": 1, "recalled": False,
}  # fmt: skip
_SESSION = {
    "id": "session-1", "name": "家庭医生咨询", "type": 9, "business_type": 2, "status": 0,
    "create_time": _AT, "last_seq": 7, "last_message_time": _AT,
    "last_message": {name: _MESSAGE[name] for name in (
        "id", "seq", "sender_id", "sender_name", "type", "content", "timestamp")},
    "current_topic_id": None, "role": "doctor", "sticky": False, "unread": 1,
    "last_fetch_time": _AT, "read_seq": 6,
}  # fmt: skip

TERMS: dict[str, Term] = {
    # users
    "user_id": Term("The user; its own id for a user's token, to be given by a service", _DOCTOR),
    "kind": Term("doctor or patient; null when the directory does not know", "doctor"),
    "role": Term("Free text of at most 32 characters", "doctor"),
    "sex": Term("As the platform numbers it", 1),
    "birthdate": Term("Date of birth", "1980-02-03"),
    "avatar": Term("Address of a picture", "https://cdn.example/d.png"),
    "openid": Term("WeChat's id of the user; shown to services only", "oABC-1"),
    "team_code": Term("Service or administrative team", "T9"),
    "title": Term("Professional title", "主任医师"),
    "online": Term("Whether any socket of the user is open", True),
    "clients": Term("Client types of the user's open sockets", ["doctor"]),
    "app_state": Term("Whether a device shows the app", "foreground"),
    "last_active_time": Term("When the user last did anything", _AT),
    "last_consult_time": Term("When a topic last started by or with the user", _AT),
    "last_reply_time": Term("When the user last sent a counted message into a topic", _AT),
    "client_id": Term("Push address of a device", "getui-5f3a"),
    "platform": Term("0 iOS, 1 Android", 1),
    "token": Term("Push token of the device, not a credential", "apns-77"),
    "access_token": Term("A user's token, for Authorization: Bearer", "eyJhbGciOi…"),
    "expires_at": Term("When the token ends", _AT + 7_200_000),
    "server_time": Term("The server's clock", _AT),
    "badge_no": Term("Unread messages over all sessions", 3),
    # sessions
    "session_id": Term("The session", "session-1"),
    "session_name": Term("What the session is called", "家庭医生咨询"),
    "session_type": Term("Type of the session, 0 to 17 (page 1.3)", 9),
    "participants": Term('Members: "userId:role", "userId" or {"id", "role"}',
                         [f"{_DOCTOR}:doctor", f"{_PATIENT}:patient"]),
    "business_type": Term("1 without a patient, 2 with a patient", 2),
    "patient": Term("Part of a made session id", _PATIENT),
    "consult_code": Term("Part of a made session id", "C1"),
    "consult_type": Term("Part of a made session id", "2"),
    "doctor": Term("Part of a made session id", _DOCTOR),
    "gp": Term("Part of a made session id: the general practitioner", "D7"),
    "specialist": Term("Part of a made session id", "D8"),
    "create_time": Term("When it was made", _AT),
    "last_seq": Term("seq of the newest message", 7),
    "last_message_time": Term("When the newest counted message was stored", _AT),
    "last_message": Term("The newest counted message, shortened", _SESSION["last_message"]),
    "current_topic_id": Term("The live topic", _TOPIC),
    "sticky": Term("Whether the user keeps the session on top", False),
    "muted": Term("Whether the user is pushed nothing of the session", True),
    "unread": Term("Counted messages of others after the read mark", 2),
    "last_fetch_time": Term("Timestamp of the message at the read mark", _AT),
    "read_seq": Term("Read up to this seq", 5),
    "delivered_seq": Term("Delivered up to this seq", 7),
    "by_type": Term("Sessions by type", {"1": 2, "9": 1}),
    "exists": Term("Whether there is such a session for the caller", True),
    "sessions": Term("Unread by session, only where there is any", {"session-1": 2}),
    "since": Term("Only with a message at or after this time", _AT),
    # messages
    "message_id": Term("The message", _MESSAGE_ID),
    "id": Term("The object's id", "session-1"),
    "seq": Term("Place in the session's log, from 1 without holes", 7),
    "sender_id": Term("Who sends; the user itself for a user's token", _PATIENT),
    "sender_name": Term("Name shown with the message", "王小明"),
    "type": Term("Type of the message (page 1.4)", 1),
    "content": Term("A string, or any JSON value of a card; required and not null", "您好"),
    "timestamp": Term("When it was stored; rises strictly with seq", _AT),
    "client_msg_id": Term("The sender's key: a repeat gives the first message again", "k-1"),
    "version": Term("Version of a card's content, from 1", 1),
    "recalled": Term("Whether its sender took it back", False),
    "before": Term("Only before this seq or message id", 7),
    "after": Term("Only after this seq or message id", 2),
    "start_msg_id": Term("From this message on, inclusive", _MESSAGE_ID),
    "end_msg_id": Term("Up to this message, inclusive", _MESSAGE_ID),
    "order": Term("asc or desc by seq", "desc"),
    "overdue": Term("Only topics that wait for an answer longer than clock.* allows", False),
    "peek": Term("Leave the marks where they are", False),
    # topics
    "topic_id": Term("The topic: the platform's consult code; 'current', where it ends or is "
                     "entered, is the session's last one", _TOPIC),
    "name": Term("A name", "王医生"),
    "description": Term("What it is about", "三天"),
    "start_by": Term("The member who starts it", _PATIENT),
    "messages": Term("First messages: a list of {type, content, sender_id?}",
                     [{"type": 1, "content": "医生您好"}]),
    "status": Term("0 or 1 for a session, 0 live and 10 ended for a topic", 0),
    "reply": Term("1 once a doctor has answered", 0),
    "state": Term("status and reply in one word", "unreplied"),
    "start_message_id": Term("The message TOPIC_START", _MESSAGE_ID),
    "start_seq": Term("seq of TOPIC_START", 5),
    "reply_by": Term("The doctor who answered", None),
    "reply_time": Term("When a doctor answered", None),
    "reply_message_id": Term("The answer", None),
    "end_by": Term("Who ended it", None),
    "end_time": Term("When it ended", None),
    "end_message_id": Term("The message TOPIC_END", None),
    "end_seq": Term("seq of TOPIC_END", None),
    "note": Term("A last word, stored before the end", "祝早日康复"),
    "ended": Term("Whether it has ended", False),
    "start": Term("Made at or after this time", _AT),
    "end": Term("Made before this time", _AT + 86_400_000),
    "total": Term("Topics but expired ones", 4),
    "unreplied": Term("Live, nobody answered", 1),
    "ongoing": Term("Live and answered", 1),
    "replied": Term("Ended and answered", 2),
    "expired": Term("Ended without an answer", 0),
    "reply_rate": Term("Answered of total; null when there is none", 0.75),
    "median_reply_ms": Term("Median time to the answer in ms", 60_000.0),
    # participants
    "participant_id": Term("The member", _DOCTOR),
    "participant_ids": Term("User ids joined by ','", [_DOCTOR, _PATIENT]),
    "old_participant_ids": Term("Members to remove", [_DOCTOR]),
    "new_participant_ids": Term("Users to add", ["D7"]),
    # the socket
    "client_type": Term("How a socket logs in (page 1.5)", "doctor"),
    "after_seq": Term("The last seq that the client has: what follows it is recovered", 5),
    "epoch": Term("Names this life of the store; after_seq counts only with the same", "5f3a91c4"),
    "heartbeat_ms": Term("How often the server pings", 25000),
    "session": Term("The session entered; null outside any", None),
    "message": Term("The stored message", None),
    "recovered": Term("Whether messages is exactly what was missed", True),
    "unread_total": Term("The user's badge", 3),
    "read": Term("Whether to move the read mark as well", True),
    # lists, pages
    "cursor": Term("The next of the page before", "WzAsMTczNTY4OTYwMDAwMF0"),
    "size": Term("Most items of a page", 20),
    "next": Term("Cursor of the following page; null on the last one", None),
    "count": Term("How many", 3),
    "by": Term("What the groups are made by", "team"),
    "org": Term("Only teams of this organisation", "3502050100"),
    "until": Term("Only what was made before this time", _AT),
    "listed": Term("Whether the codes are wanted as well; also called list", False),
    "rows": Term("The groups, the largest first", []),
    "rule": Term("What the rate leaves out", "expired-excluded"),
    "key": Term("The group's code, or codes joined by ','", "7"),
    "consults": Term("Consults in all four states", 10),
    "first_reply_ms": Term("Time to the first reply, in ms, by nearest rank", {"p50": 1, "p90": 2}),
    "p50": Term("Half of all are at most this, in ms", 60_000),
    "p90": Term("Nine in ten are at most this, in ms", 90_000),
    "list": Term("The codes of the consults, where they were asked for", ["C1"]),
    "links": Term("Paths of this server", {"openapi": "/api/v2/openapi.json"}),
    "not_ready": Term("What cannot do its work now", ["database"]),
}  # fmt: skip

#: the same for a name that means something else in one type: its example there
EXAMPLES: dict[tuple[str, str], Any] = {
    ("LoginResult", "messages"): [_MESSAGE],
    ("LoginResult", "session"): _SESSION,
    ("SendResult", "message"): _MESSAGE,
    ("Session", "name"): "家庭医生咨询",
    ("Session", "type"): 9,
    ("Session", "current_topic_id"): None,
    ("RenameSession", "name"): "新名字",
    ("ListSessions", "type"): [1, 9],
    ("ListSessionsByType", "type"): [1, 9],
    ("CountSessionsByType", "type"): [1, 9],
    ("Message", "id"): _MESSAGE_ID,
    ("User", "id"): _DOCTOR,
    ("Topic", "id"): _TOPIC,
    ("Topic", "name"): "头痛",
    ("StartTopic", "name"): "头痛",
    ("StartTopicInSession", "name"): "头痛",
    ("UpdateTopic", "name"): "头痛",
    ("Index", "name"): "imd",
    ("Index", "version"): "0.1.0",
    ("Health", "version"): "0.1.0",
    ("Health", "status"): "ok",
    ("Ready", "status"): "ready",
    ("NotReady", "status"): "not_ready",
    ("EditMessage", "content"): {"answer_status": 1},
    ("ListHealthTeamTopics", "team_code"): ["T9"],
    ("Participant", "role"): "doctor",
}

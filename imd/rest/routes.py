"""THE table: every route of the API, one row each (pages 2.2 to 2.7).

A row's name is the action's, the operationId's, the test's and the log event's. Whoever looks for
what a path does starts here. Pages beside the API (2.8) are rows made in ``pages``.
"""

from __future__ import annotations

from imd.actions import (
    messages,
    mutes,
    participants,
    sessions,
    statistics,
    topic_lists,
    topic_start,
    topics,
    users,
)
from imd.domain import errors
from imd.domain.caller import ADMIN, READ, WRITE
from imd.domain.message import Message
from imd.domain.participant import Avatar, Participant
from imd.domain.session import OwnSession, Session
from imd.domain.topic import EndedTopic, ListedTopic, Topic
from imd.domain.user import ConsultTime, User
from imd.rest import replies
from imd.rest.table import Route
from imd.wire import answers
from imd.wire import messages as m
from imd.wire import participants as p
from imd.wire import sessions as s
from imd.wire import stats as c
from imd.wire import topics as t
from imd.wire import users as u
from imd.wire.answers import Items, Page

API = "/api/v2"
_USER = f"{API}/users/{{user_id}}"
_SESSIONS = f"{API}/sessions"
_SESSION = f"{_SESSIONS}/{{session_id}}"
_MESSAGE = f"{_SESSION}/messages/{{message_id}}"
_TOPIC = f"{_SESSION}/topics/{{topic_id}}"
_MEMBERS = f"{_SESSION}/participants/{{participant_ids}}"

_OF_SESSION = (errors.SessionNotFound, errors.NotAMember)
_CREATION = (
    errors.SessionTypeConflict,
    errors.SessionTypeRetired,
    errors.Forbidden,
    errors.SessionNotFound,
)
_START = (
    errors.TopicActive,
    errors.TopicIdTaken,
    errors.TopicsNotAllowed,
    errors.SessionNotFound,
)
_AS_USER = (errors.ForbiddenUser,)

# Route(name, verbs, path, model, answers, action, scope, summary, ...)

USERS = (
    Route("get_badge", ("GET",), f"{API}/application/badge_no", u.GetBadge, (answers.Badge,),
          users.get_badge, READ, "Unread messages of a user over all sessions", errors=_AS_USER),
    Route("login", ("POST",), f"{API}/users/login", u.Login, (answers.Access,),
          users.login, WRITE, "Register a device and obtain an access token",
          errors=(errors.UserNotFound, errors.ForbiddenUser, errors.MissingScope)),
    Route("logout", ("POST", "DELETE"), f"{API}/users/logout", u.Logout, (),
          users.logout, WRITE, "Forget a device and revoke the presented token",
          replies.NOTHING, errors=_AS_USER),
    Route("get_user", ("GET",), _USER, u.GetUser, (User,),
          users.get_user, READ, "A user of the directory", errors=(errors.UserNotFound,)),
    Route("put_user", ("PUT",), _USER, u.PutUser, (User,),
          users.put_user, ADMIN, "Create or update a directory entry",
          replies.PUT, errors=(errors.Forbidden, errors.MissingScope)),
    Route("put_users", ("PUT",), f"{API}/users", u.PutUsers, (u.PutResults,),
          users.put_users, ADMIN, "Create or update many directory entries",
          errors=(errors.Forbidden, errors.MissingScope)),
    Route("get_user_status", ("GET",), f"{_USER}/status", u.GetUserStatus, (answers.UserStatus,),
          users.get_user_status, READ, "Whether and where a user is online",
          errors=(errors.UserNotFound,)),
    Route("set_user_status", ("PUT", "POST"), f"{_USER}/status", u.SetUserStatus,
          (answers.UserStatus,), users.set_user_status, WRITE,
          "Tell whether a device shows the app",
          errors=(errors.UserNotFound, errors.NoDevice, errors.ForbiddenUser)),
    Route("get_consult_time", ("GET",), f"{_USER}/consult/time", u.GetConsultTime, (ConsultTime,),
          users.get_consult_time, READ, "When a user last did something about consults",
          errors=(errors.UserNotFound,)),
)  # fmt: skip

SESSIONS = (
    Route("open_session", ("POST",), _SESSIONS, s.OpenSession, (OwnSession, Session),
          sessions.open_session, WRITE, "Make a session, or add missing members to it",
          replies.OPENED, errors=_CREATION),
    Route("list_sessions", ("GET",), _SESSIONS, s.ListSessions, (Page[OwnSession],),
          sessions.list_sessions, READ, "A user's sessions, sticky ones first", errors=_AS_USER),
    Route("get_session", ("GET",), f"{_SESSION}/session", s.GetSession, (OwnSession, Session),
          sessions.get_session, READ, "One session", errors=_OF_SESSION),
    Route("list_sessions_by_type", ("GET",), f"{_SESSIONS}/sessionListByType",
          s.ListSessionsByType, (Page[OwnSession],), sessions.list_sessions_by_type, READ,
          "A user's sessions of the named types", errors=_AS_USER),
    Route("count_sessions_by_type", ("GET",), f"{_SESSIONS}/sessionCountByType",
          s.CountSessionsByType, (answers.TypeCounts,), sessions.count_sessions_by_type, READ,
          "How many sessions of each type a user has", errors=_AS_USER),
    Route("pin_session", ("PUT",), f"{_SESSION}/sticky", s.PinSession, (answers.Sticky,),
          sessions.pin_session, WRITE, "Keep a session on top for one user", errors=_OF_SESSION),
    Route("unpin_session", ("DELETE",), f"{_SESSION}/sticky", s.PinSession, (answers.Sticky,),
          sessions.unpin_session, WRITE, "No longer keep it on top", errors=_OF_SESSION),
    Route("mute_session", ("PUT",), f"{_SESSION}/mute", s.MuteSession, (answers.Muted,),
          mutes.mute_session, WRITE, "Push nothing of a session to one user", errors=_OF_SESSION),
    Route("unmute_session", ("DELETE",), f"{_SESSION}/mute", s.MuteSession, (answers.Muted,),
          mutes.unmute_session, WRITE, "Push it again", errors=_OF_SESSION),
    Route("set_session_status", ("PUT", "POST"), f"{_SESSION}/status", s.SetSessionStatus,
          (OwnSession, Session), sessions.set_session_status, WRITE, "Set a session's status",
          errors=(*_OF_SESSION, errors.TopicActive, errors.NoLiveTopic)),
    Route("rename_session", ("POST", "PUT"), f"{_SESSION}/name", s.RenameSession,
          (OwnSession, Session), sessions.rename_session, WRITE, "Rename a session",
          errors=_OF_SESSION),
    Route("list_recent_sessions", ("GET",), f"{_SESSIONS}/recent", s.ListRecentSessions,
          (Page[OwnSession],), sessions.list_recent_sessions, READ,
          "Sessions with a message, newest first", errors=_AS_USER),
    Route("session_exists", ("GET",), f"{_SESSIONS}/isExist", s.SessionExists, (answers.Exists,),
          sessions.session_exists, READ, "Whether there is such a session"),
)  # fmt: skip

MESSAGES = (
    Route("post_message", ("POST",), f"{_SESSION}/messages", m.PostMessage, (Message,),
          messages.post_message, WRITE, "Send a message; answered when it is durable",
          replies.POSTED, rate="sends",
          errors=(*_OF_SESSION, errors.ServerOnlyType, errors.TopicEnded, errors.TopicNotFound,
                  errors.IdempotencyConflict, errors.TooLarge)),
    Route("list_messages", ("GET",), f"{_SESSION}/messages", m.ListMessages, (Page[Message],),
          messages.list_messages, READ, "A session's messages, newest first",
          errors=(*_OF_SESSION, errors.MessageNotFound)),
    Route("list_unread", ("GET",), f"{_SESSION}/messages/unread", m.ListUnread, (Page[Message],),
          messages.list_unread, READ, "Unread messages, oldest first", errors=_OF_SESSION),
    Route("get_message", ("GET",), _MESSAGE, m.GetMessage, (Message,),
          messages.get_message, READ, "One message",
          errors=(*_OF_SESSION, errors.MessageNotFound)),
    Route("edit_message", ("PUT",), _MESSAGE, m.EditMessage, (Message,),
          messages.edit_message, WRITE, "Replace a card's content",
          errors=(*_OF_SESSION, errors.MessageNotFound, errors.NotTheSender, errors.NotEditable,
                  errors.VersionConflict, errors.TooLarge)),
    Route("recall_message", ("DELETE",), _MESSAGE, m.RecallMessage, (Message,),
          messages.recall_message, WRITE, "Recall a message",
          errors=(*_OF_SESSION, errors.MessageNotFound, errors.NotTheSender,
                  errors.RecallWindowPassed)),
    Route("mark_read", ("PUT",), f"{_SESSION}/read", m.MarkRead, (answers.ReadMark,),
          messages.mark_read, WRITE, "Mark messages read up to a seq", errors=_OF_SESSION),
    Route("list_session_topic_messages", ("GET",), f"{_TOPIC}/messages",
          m.ListSessionTopicMessages, (Page[Message],), messages.list_session_topic_messages,
          READ, "Messages of one topic of a session",
          errors=(*_OF_SESSION, errors.TopicNotFound, errors.MessageNotFound)),
    Route("list_topic_messages", ("GET",), f"{_SESSIONS}/topic/{{topic_id}}/messages",
          m.ListTopicMessages, (Page[Message],), messages.list_topic_messages, READ,
          "Messages of one topic", errors=(errors.TopicNotFound, errors.MessageNotFound)),
    Route("count_all_unread", ("GET",), f"{_SESSIONS}/unread_message_count", m.CountAllUnread,
          (answers.AllUnread,), messages.count_all_unread, READ,
          "Unread messages of a user by session", errors=_AS_USER),
    Route("count_unread", ("GET",), f"{_SESSION}/unread_message_count", m.CountUnread,
          (answers.Unread,), messages.count_unread, READ,
          "Unread messages of a user in one session", errors=_OF_SESSION),
)  # fmt: skip

TOPICS = (
    Route("start_topic", ("POST",), f"{_SESSION}/topics", t.StartTopic, (Topic,),
          topic_start.start_topic, WRITE, "Start a topic in a session", replies.STARTED,
          errors=_START),
    Route("start_topic_in_session", ("POST",), f"{_SESSIONS}/topics", t.StartTopicInSession,
          (Topic,), topic_start.start_topic_in_session, WRITE,
          "Start a topic, making its session first where needed", replies.STARTED,
          errors=(*_START, *_CREATION[:3])),
    Route("get_topic", ("GET",), f"{_SESSIONS}/topics/{{topic_id}}", t.GetTopic, (Topic,),
          topics.get_topic, READ, "One topic", errors=(errors.TopicNotFound,),
          also=(f"{_SESSIONS}/{{topic_id}}/topics",)),
    Route("update_topic", ("PUT", "POST"), f"{_SESSIONS}/topics/{{topic_id}}", t.UpdateTopic,
          (Topic,), topics.update_topic, WRITE, "Change a topic (services only)",
          errors=(errors.TopicNotFound, errors.Forbidden)),
    Route("topic_ended", ("GET",), f"{_TOPIC}/ended", t.TopicEnded, (answers.TopicEnding,),
          topics.topic_ended, READ, "Whether a topic has ended",
          errors=(*_OF_SESSION, errors.TopicNotFound)),
    Route("end_topic", ("PUT", "POST"), f"{_TOPIC}/ended", t.EndTopic, (EndedTopic,),
          topics.end_topic, WRITE, "End a topic", errors=(*_OF_SESSION, errors.TopicNotFound)),
    Route("enter_topic", ("PUT", "POST"), f"{_TOPIC}/into", t.EnterTopic, (Message,),
          topics.enter_topic, WRITE, "Tell the doctors that a user enters", replies.ENTERED,
          errors=(*_OF_SESSION, errors.TopicNotFound, errors.TopicEnded)),
    Route("list_topics", ("GET",), f"{_SESSIONS}/topics", t.ListTopics, (Page[ListedTopic],),
          topic_lists.list_topics, READ, "Topics of a user's sessions, newest first",
          errors=(errors.ForbiddenUser, errors.SessionNotFound)),
    Route("list_health_topics", ("GET",), f"{_SESSIONS}/healthTopics", t.ListHealthTopics,
          (Page[ListedTopic],), topic_lists.list_health_topics, READ, "Topics of health consults",
          errors=(errors.ForbiddenUser, errors.SessionNotFound)),
    Route("list_health_team_topics", ("GET",), f"{_SESSIONS}/healthTeamTopics",
          t.ListHealthTeamTopics, (answers.Teams,), topic_lists.list_health_team_topics, READ,
          "Topics of health consults by team",
          errors=(errors.ForbiddenUser, errors.SessionNotFound)),
    Route("list_topics_by_type", ("GET",), f"{_SESSIONS}/topicListByType", t.ListTopicsByType,
          (Page[ListedTopic],), topic_lists.list_topics_by_type, READ, "Topics in one state",
          errors=_AS_USER),
    Route("count_topics_by_type", ("GET",), f"{_SESSIONS}/topicListCountByType",
          t.CountTopicsByType, (answers.StateCounts,), topic_lists.count_topics_by_type, READ,
          "How many topics are in each state", errors=_AS_USER),
    Route("count_topic_replies", ("GET",), f"{_SESSIONS}/topics/count/reply",
          t.CountTopicReplies, (answers.ReplyCounts,), topic_lists.count_topic_replies, READ,
          "How many topics were answered, and how fast", errors=_AS_USER),
)  # fmt: skip

PARTICIPANTS = (
    Route("list_participants", ("GET",), f"{_SESSION}/participants", p.ListParticipants,
          (Items[Participant],), participants.list_participants, READ, "All members",
          errors=_OF_SESSION),
    Route("list_avatars", ("GET",), f"{_SESSION}/participants/avatars", p.ListParticipants,
          (Items[Avatar],), participants.list_avatars, READ, "Names and avatars of all members",
          errors=_OF_SESSION),
    Route("get_participants", ("GET",), _MEMBERS, p.GetParticipants, (Items[Participant],),
          participants.get_participants, READ, "The named members",
          errors=(*_OF_SESSION, errors.NotFound)),
    Route("put_participants", ("PUT", "POST"), _MEMBERS, p.PutParticipants, (Items[Participant],),
          participants.put_participants, WRITE, "Add members, or change their role",
          errors=(*_OF_SESSION, errors.Forbidden)),
    Route("remove_participants", ("DELETE",), _MEMBERS, p.RemoveParticipants,
          (Items[Participant],), participants.remove_participants, WRITE, "Remove members",
          errors=(*_OF_SESSION, errors.Forbidden, errors.NotFound)),
    Route("get_avatar", ("GET",), f"{_SESSION}/participants/{{participant_id}}/avatars",
          p.GetAvatar, (Avatar,), participants.get_avatar, READ, "Name and avatar of one member",
          errors=(*_OF_SESSION, errors.NotFound)),
    Route("replace_participants", ("POST", "PUT"), f"{_SESSION}/participant/update",
          p.ReplaceParticipants, (Items[Participant],), participants.replace_participants, WRITE,
          "Put new members in the place of old ones",
          errors=(*_OF_SESSION, errors.Forbidden, errors.NotFound)),
)  # fmt: skip

STATISTICS = (
    Route("count_consults", ("GET",), f"{API}/stats/consults", c.CountConsults,
          (c.ConsultCounts,), statistics.count_consults, READ,
          "How many consults were taken by whom, and how they were answered (services only)",
          errors=(errors.Forbidden,)),
)  # fmt: skip

ROUTES: tuple[Route, ...] = (
    *USERS, *SESSIONS, *MESSAGES, *TOPICS, *PARTICIPANTS, *STATISTICS,
)  # fmt: skip

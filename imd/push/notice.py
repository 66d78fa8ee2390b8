"""What a push says, as plain words: the fields that templates may name (page 5.6, ``push.wechat``).

Pure. The text of a message is left out unless the operator wants it: a notice on a locked screen
or in WeChat is read by others too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from imd.domain.message_types import MessageType
from imd.push.ports import Job

#: China has one time and no summer time
_LOCAL: Final = timedelta(hours=8)
_SESSION_KINDS: Final = {
    0: "系统消息", 1: "家庭医生咨询", 2: "医生咨询", 3: "团队消息", 4: "讨论组", 5: "专科共管",
    6: "名医咨询", 7: "名医咨询", 8: "续方咨询", 9: "在线复诊", 10: "求助", 11: "上门护理",
    12: "协同门诊", 13: "健康咨询", 14: "诊间助手", 15: "专科咨询", 16: "视频复诊", 17: "专家视频",
}  # fmt: skip
#: what is said in place of a text that is no text
_KINDS: Final = {
    MessageType.IMAGE: "[图片]", MessageType.VOICE: "[语音]", MessageType.ARTICLE: "[文章]",
    MessageType.SHORT_VIDEO: "[视频]", MessageType.PRESCRIPTION: "[处方]",
    MessageType.VIDEO_REQUEST: "[视频邀请]",
}  # fmt: skip
_TEXTS: Final = frozenset({MessageType.SYSTEM, MessageType.TEXT, MessageType.FORWARDED_TEXT})
_LONGEST_TEXT: Final = 100


def fields_of(job: Job, include_text: bool) -> dict[str, str]:
    """The words of a push by NOTICE_FIELDS; those of a message are the newest's that is unseen.

    ``type`` and ``type_name`` are the message's (page 1.4), ``session_kind`` is the session's type
    in words for people.
    """
    facts, claim = job.facts, job.claim
    kind = _SESSION_KINDS.get(facts.session_type, "新消息")
    words = {
        "session_id": claim.session_id,
        "session_name": facts.session_name or kind,
        "message_id": facts.message_id or "",
        "seq": str(facts.newest_seq),
        "sender_name": facts.sender_name or "",
        "type": str(facts.type),
        "type_name": _type_name(facts.type),
        "time": local_time(facts.time),
        "unread": str(facts.unseen),
        "session_type": str(facts.session_type),
        "session_kind": kind,
    }
    if include_text:
        words["text"] = _text(facts.type, facts.text)
    return words


def _type_name(type_: int) -> str:
    try:
        return MessageType(type_).name
    except ValueError:  # a type that the operator configured
        return str(type_)


def local_time(ms: int) -> str:
    """A moment as patients read it, ``2026-11-24 08:52``."""
    return (datetime.fromtimestamp(ms / 1000, UTC) + _LOCAL).strftime("%Y-%m-%d %H:%M")


def _text(type_: int, text: str | None) -> str:
    if type_ in _TEXTS and text:
        return " ".join(text.split())[:_LONGEST_TEXT]
    return next((said for kind, said in _KINDS.items() if kind == type_), "[消息]")

"""A transcript as one page of HTML: to be read on a screen and printed, in Chinese and English.

It stands alone: no script, nothing loaded from elsewhere (an image is shown as its address), and
everything that people wrote is escaped. What a transcript holds, :mod:`imd.service.transcripts`
knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Any, Final

from imd.domain.message import Card, Message
from imd.domain.message_types import MessageType
from imd.domain.topic import Topic, state_of
from imd.service.transcripts import Transcript

_T = MessageType
_KINDS: Final[dict[int, str]] = {
    _T.SYSTEM: "系统消息", _T.TEXT: "文本消息", _T.IMAGE: "图片消息", _T.VOICE: "语音消息",
    _T.ARTICLE: "文章消息", _T.LINK: "跳转消息", _T.TOPIC_START: "议题开始",
    _T.TOPIC_END: "议题结束", _T.FORWARDED_TEXT: "转发的消息", _T.FORWARDED_IMAGE: "转发的图片",
    _T.TOPIC_END_NOTE: "结束说明", _T.SHORT_VIDEO: "小视频消息", _T.TOPIC_INTO: "进入议题",
    _T.RENEWAL_REVIEW: "续方审核", _T.RENEWAL_GLUCOSE_PRESSURE: "续方血糖血压",
    _T.RENEWAL_QUESTIONNAIRE: "续方随访问卷", _T.NAME_CARD: "个人名片",
    _T.FORWARD_BUNDLE: "消息转发",
    _T.REHAB_PLAN: "康复计划", _T.REFERRAL_TO_BOOK: "转诊待预约", _T.ACKNOWLEDGED: "已知悉",
    _T.REVISIT_NOTE: "复诊说明", _T.DIAGNOSIS_RESULT: "诊断结果",
    _T.CONDITION_DESCRIPTION: "病情描述", _T.EXPERT_ADVICE: "专家建议", _T.PRESCRIPTION: "药品处方",
    _T.SERVICE_RATING: "服务评价", _T.VIDEO_REQUEST: "视频请求",
    _T.INTERNET_HOSPITAL_FORWARD: "互联网医院转发", _T.JOINT_CONSULT_ADVICE: "会诊建议",
    _T.HOME_BOOKING: "上门服务预约", _T.HOME_ORDER_CHANGED: "上门工单修改",
    _T.HOME_DOCTOR_CHANGED: "上门医生变更", _T.HOME_ITEMS_CHANGED: "上门服务项变更",
    _T.CARD_REFRESH: "卡片刷新",
}  # fmt: skip
_STATES: Final = {
    "unreplied": "未回复", "ongoing": "进行中", "replied": "已回复", "expired": "未回复已结束",
}  # fmt: skip
_HEAD: Final = """<!DOCTYPE html>
<html lang="zh">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 14px/1.5 "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  max-width: 60em; margin: 1.5em auto; padding: 0 1em; color: #111; background: #fff }}
h1 {{ font-size: 1.4em }} table {{ border-collapse: collapse; width: 100% }}
th, td {{ border: 1px solid #999; padding: .3em .5em; text-align: left; vertical-align: top }}
thead {{ display: table-header-group }} tr {{ break-inside: avoid }}
.facts th {{ width: 14em; font-weight: 600 }} .log {{ margin-top: 1.5em }}
.log .seq, .log .time {{ white-space: nowrap; width: 1% }}
pre {{ margin: 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere }}
.recalled {{ color: #555; font-style: italic }} small {{ color: #555 }}
@media print {{ body {{ margin: 0; max-width: none; font-size: 10pt }} }}
</style>
</head>
<body>
"""


def as_page(transcript: Transcript, zone: tzinfo) -> Iterator[bytes]:
    """The page piece by piece; times are shown as the clock of ``zone`` does."""
    title = f"会话记录 Transcript {transcript.topic_id or transcript.session_id}"
    yield _HEAD.format(title=escape(title)).encode()
    yield f'<h1>{escape(title)}</h1>\n<table class="facts">\n'.encode()
    for label, value in _facts(transcript.header, zone):
        yield f"<tr><th>{label}</th><td>{_text(value)}</td></tr>\n".encode()
    remarks = transcript.header["remarks"]
    yield (
        f"</table>\n<p><small>{escape(remarks['zh'])}<br>{escape(remarks['en'])}</small></p>\n"
        '<table class="log">\n<thead><tr><th>序号 No.</th><th>时间 Time</th><th>发送者 Sender</th>'
        "<th>类型 Type</th><th>内容 Content</th></tr></thead>\n<tbody>\n"
    ).encode()
    for message in transcript.messages:
        yield _row(message, zone).encode()
    yield b"</tbody>\n</table>\n</body>\n</html>\n"


def _facts(header: dict[str, Any], zone: tzinfo) -> Iterator[tuple[str, str]]:
    session, topic = header["session"], header["topic"]
    name = f"{session['name']} ({session['id']})" if session["name"] else session["id"]
    yield "会话 Session", name
    yield "会话类型 Session type", f"{session['type']} {session['type_name'] or ''}".strip()
    if topic is not None:
        yield from _about(topic, zone)
    members = [
        f"{p['name'] or '–'} ({p['participant_id']}), {p['kind'] or p['role']}"
        for p in header["participants"]
    ]
    yield "成员 Members", "\n".join(members)
    interval = f"{header['first_seq']} – {header['last_seq']} ({header['messages']})"
    yield "消息序号 Messages", interval
    if header["deleted_before"] is not None:
        said = f"{header['deleted_before']} 之前的消息已按保存期限删除"
        english = f"what stood before {header['deleted_before']} is deleted by retention"
        yield "已删除 Deleted", f"{said}; {english}"
    yield "导出时间 Exported", f"{_clock(header['exported_at'], zone)}, {header['program']}"


def _about(topic: Topic, zone: tzinfo) -> Iterator[tuple[str, str]]:
    yield "议题 Consult", f"{topic.name} ({topic.id})" if topic.name else topic.id
    if topic.description:
        yield "描述 Description", topic.description
    state = state_of(topic.status, topic.reply)
    yield "状态 State", f"{_STATES[state]} {state}"
    yield "开始 Started", f"{_clock(topic.create_time, zone)}, {topic.start_by}"
    if topic.reply_time is not None:
        yield "首次回复 First reply", f"{_clock(topic.reply_time, zone)}, {topic.reply_by or '–'}"
    if topic.end_time is not None:
        yield "结束 Ended", f"{_clock(topic.end_time, zone)}, {topic.end_by or '–'}"


def _row(message: Message, zone: tzinfo) -> str:
    try:
        english = MessageType(message.type).name
    except ValueError:  # a type that the operator configured, or the original's
        english = ""
    kind = f"{_KINDS.get(message.type, '')} {english}".strip() or "–"
    sender = f"{escape(message.sender_name or '')}<br><small>{escape(message.sender_id)}</small>"
    version = f"<br><small>version {message.version}</small>" if message.version > 1 else ""
    return (
        f'<tr><td class="seq">{message.seq}</td>'
        f'<td class="time">{_clock(message.timestamp, zone)}</td><td>{sender}</td>'
        f"<td>{kind}<br><small>{message.type}</small>{version}</td><td>{_content(message)}</td></tr>\n"
    )


def _content(message: Message) -> str:
    if message.recalled:
        return '<span class="recalled">已撤回 Recalled</span>'
    if isinstance(message.content, Card):
        try:
            text = json.dumps(json.loads(message.content.text), ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):  # as the original left it
            text = message.content.text
        return _text(text)
    return _text(message.content or "")


def _text(text: str) -> str:
    """Lines stay lines; the direction of a text is its own and ends with it."""
    return f'<pre dir="auto">{escape(text)}</pre>'


def _clock(milliseconds: int, zone: tzinfo) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(zone)
    return moment.strftime("%Y-%m-%d %H:%M:%S ") + moment.strftime("%z")

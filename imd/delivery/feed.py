"""One session's live stream in this process: dense, in order, each message once (I3, I4).

:mod:`imd.delivery.feeds` keeps a feed for each session that has an inside link here, and reads
what :meth:`Feed.wanted` asks for. A feed does no I/O and knows no clock: entries and links go in,
frames go to the links. A link is *joining* from before its snapshot is read; *ahead* when the
snapshot went further than the feed has come; else *live*, exactly at :attr:`Feed.position`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from imd.actions.ports import Committed
from imd.delivery.registry import Link, Origin
from imd.domain.message import Message
from imd.wire.codec import encode
from imd.wire.frames import notification, text_frame


class Hold:
    """What a joining link must still get: frames by seq, and what has no seq, for afterwards.

    ``after`` is None until its snapshot has arrived, then the last seq it has got.
    """

    __slots__ = ("after", "frames", "others")

    def __init__(self) -> None:
        self.after: int | None = None
        self.frames: dict[int, bytes] = {}
        self.others: list[bytes] = []


class Feed:
    """The stream of one session; ``sent`` is called with each entry after it was broadcast."""

    __slots__ = (
        "_ahead", "_held", "_joining", "_live", "_sent", "known", "position", "session_id", "typed",
    )  # fmt: skip

    def __init__(self, session_id: str, sent: Callable[[Committed], None]) -> None:
        self.session_id, self._sent = session_id, sent
        #: the last seq that was broadcast; None until the first snapshot tells where live begins
        self.position: int | None = None
        #: the highest seq that is known, or said, to exist
        self.known = 0
        self._held: dict[int, Committed] = {}
        self._live: dict[Link, None] = {}
        self._ahead: dict[Link, int] = {}
        self._joining: dict[Link, Hold] = {}
        #: ms of the last ``typing`` that was relayed, by user
        self.typed: dict[str, int] = {}

    # ---- links

    @property
    def empty(self) -> bool:
        return not (self._live or self._ahead or self._joining)

    @property
    def audience(self) -> int:
        """How many links get what is broadcast now."""
        return len(self._live)

    @property
    def settled(self) -> list[Link]:
        """Those whose membership was found before now; a joining one's may be read just now."""
        return [*self._live, *self._ahead]

    def links(self, user_ids: Collection[str]) -> list[Link]:
        """All links of these users, joining ones too."""
        everyone = {**self._live, **self._ahead, **self._joining}
        return [link for link in everyone if link.user_id in user_ids]

    def expect(self, link: Link) -> None:
        """Hold for this link what is broadcast from now on; its snapshot is read after this."""
        self._joining[link] = Hold()

    def forsake(self, link: Link) -> None:
        """It does not join after all; where it was live before, it stays so."""
        self._joining.pop(link, None)

    def leave(self, link: Link) -> None:
        """Nothing reaches this link any more."""
        self._joining.pop(link, None)
        self._live.pop(link, None)
        self._ahead.pop(link, None)

    def settle(self, link: Link, after: int) -> None:
        """Its snapshot reached up to ``after`` and has been written: everything later follows.

        A link that is not expected (any more) is left alone.
        """
        hold = self._joining.get(link)
        if hold is None:
            return
        self._live.pop(link, None)
        self._ahead.pop(link, None)
        hold.after = after
        self.known = max(self.known, after)
        if self.position is None:
            self._begin(after)
        self._catch_up(link, hold)
        self._drain()

    def _begin(self, position: int) -> None:
        """The first snapshot says where the stream stands; another's may have been older."""
        self.position = position
        for seq in [seq for seq in self._held if seq <= position]:
            self._keep(seq, _message_frame(encode(self._held.pop(seq).message)))

    def _keep(self, seq: int, frame: bytes) -> None:
        for hold in self._joining.values():
            if hold.after is None or seq > hold.after:
                hold.frames[seq] = frame

    def _catch_up(self, link: Link, hold: Hold) -> None:
        """Write what it lacks up to the position; where a frame is missing it stays joining."""
        assert hold.after is not None and self.position is not None
        while hold.after < self.position:
            frame = hold.frames.pop(hold.after + 1, None)
            if frame is None:
                return
            hold.after += 1
            link.write(frame)
        # It may have gone while it was written to.
        if self._joining.pop(link, None) is None:
            return
        if hold.after > self.position:
            self._ahead[link] = hold.after
        else:
            self._live[link] = None
        for frame in hold.others:
            link.write(frame)

    # ---- entries

    def offer(self, entry: Committed) -> None:
        """A message that was committed; late, early and repeated ones are put right here."""
        seq = entry.message.seq
        self.known = max(self.known, seq)
        if self.position is not None and seq <= self.position:
            return
        former = self._held.get(seq)
        if former is not None and (former.origin is not None or entry.origin is None):
            return
        self._held[seq] = self._claim(entry)
        self._drain()

    def _claim(self, entry: Committed) -> Committed:
        """Take charge of the sender's answer when its link stands in this stream before it."""
        origin: Origin | None = entry.origin  # type: ignore[assignment]
        if origin is None:
            return entry
        link = origin.link
        if link in self._live or self._ahead.get(link, entry.message.seq) < entry.message.seq:
            origin.take()
            return entry
        return entry._replace(origin=None)

    def _drain(self) -> None:
        while self.position is not None and self._held:
            entry = self._held.pop(self.position + 1, None)
            if entry is None:
                return
            self.position += 1
            self._broadcast(entry)

    def _broadcast(self, entry: Committed) -> None:
        """Serialise once, write to each (page 4.3)."""
        seq = entry.message.seq
        encoded = encode(entry.message)
        frame = _message_frame(encoded)
        if self._joining:
            self._keep(seq, frame)
        origin: Origin | None = entry.origin  # type: ignore[assignment]
        if origin is None:
            for link in list(self._live):
                link.write(frame)
        else:
            sender = origin.link
            for link in list(self._live):
                if link is sender:
                    origin.answer(encoded)
                else:
                    link.write(frame)
        for link in [link for link, floor in self._ahead.items() if floor <= seq]:
            del self._ahead[link]
            self._live[link] = None
        self._sent(entry)

    def tell(self, frame: bytes, but: object = None) -> None:
        """Another notification for the inside links; one that is joining gets it afterwards."""
        for link in [*self._live, *self._ahead]:
            if link is not but:
                link.write(frame)
        for link, hold in self._joining.items():
            if link not in self._live and link not in self._ahead and link is not but:
                hold.others.append(frame)

    # ---- holes

    def hint(self, seq: int) -> None:
        """Somebody says that this seq exists."""
        self.known = max(self.known, seq)

    def wanted(self) -> int | None:
        """After which seq the database must be read; None when nothing is missing."""
        if self.position is None:
            return None
        wants = [hold.after for hold in self._joining.values() if hold.after is not None]
        if self.known > self.position:
            wants.append(self.position)
        return min(wants, default=None)

    def fill(self, entries: Iterable[Committed], believed: int | None) -> None:
        """What the database holds after :meth:`wanted`.

        ``believed`` is what :attr:`known` was before it was asked, or None when there is more.
        """
        for entry in entries:
            if self.position is not None and entry.message.seq > self.position:
                self.offer(self._with_origin(entry))
            elif any(hold.after is not None for hold in self._joining.values()):
                self._keep(entry.message.seq, _message_frame(encode(entry.message)))
        for link, hold in list(self._joining.items()):
            if hold.after is not None and self.position is not None:
                self._catch_up(link, hold)
        if believed == self.known and self.position is not None:
            # A hint that promised more was wrong; one that came meanwhile has raised known.
            self.known = max(self.position, 0, *self._held)

    def _with_origin(self, entry: Committed) -> Committed:
        """An entry that the database told of sooner than its writer still has its sender."""
        for link in self._senders(entry.message):
            origin = link.origin_of(self.session_id, entry.message.client_msg_id)
            if origin is not None:
                return entry._replace(origin=origin)
        return entry

    def _senders(self, message: Message) -> Iterator[Link]:
        if message.client_msg_id is not None:
            yield from (link for link in self._live if link.user_id == message.sender_id)


def _message_frame(encoded: bytes) -> bytes:
    return text_frame(notification("message", encoded))

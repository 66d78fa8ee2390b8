"""One session's live stream in this process: dense, in order, each message once (I3, I4).

:mod:`imd.delivery.feeds` keeps a feed for each session that has an inside link here, and reads
what :meth:`Feed.wanted` asks for. A feed does no I/O and knows no clock: entries and links go in,
frames go to the links. A link is *joining* from before its snapshot is read; *ahead* when the
snapshot went further than the feed has come; else *live*, exactly at :attr:`Feed.position`.

Nothing that was committed after somebody was shut out reaches him (I8). Links were found to be
members at some *roster* (:class:`imd.domain.session.Head`); what was committed at a later one waits
until :meth:`Feed.vouch` says who is a member still.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from imd.actions.ports import Committed
from imd.delivery.registry import Link, Origin
from imd.domain.message import Message
from imd.wire.codec import encode
from imd.wire.frames import notification, text_frame


class Hold:
    """What a joining link must still get: frames by seq, and what has no seq, for afterwards.

    ``after`` is None until its snapshot has arrived, then the last seq it has got; ``roster`` is
    the one at which it was found to be a member.
    """

    __slots__ = ("after", "frames", "others", "roster")

    def __init__(self) -> None:
        self.after: int | None = None
        self.roster = 0
        self.frames: dict[int, bytes] = {}
        self.others: list[bytes] = []


class Late(NamedTuple):
    """A notification without a seq that waits for a look at who is a member."""

    roster: int
    frame: bytes
    but: object


class Feed:
    """The stream of one session; ``sent`` is called with each entry after it was broadcast."""

    __slots__ = (
        "_ahead", "_held", "_joining", "_late", "_live", "_sent", "known", "position", "roster",
        "session_id", "typed",
    )  # fmt: skip

    def __init__(self, session_id: str, sent: Callable[[Committed], None]) -> None:
        self.session_id, self._sent = session_id, sent
        #: the last seq that was broadcast; None until the first snapshot tells where live begins
        self.position: int | None = None
        #: the highest seq that is known, or said, to exist
        self.known = 0
        #: the roster at which, or later, every live and every ahead link was found to be a member
        self.roster = 0
        self._held: dict[int, Committed] = {}
        self._late: list[Late] = []
        #: with the roster at which the link was found to be a member
        self._live: dict[Link, int] = {}
        #: with the seq up to which its snapshot reached, and that roster
        self._ahead: dict[Link, tuple[int, int]] = {}
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
        arrived = [link for link, hold in self._joining.items() if hold.after is not None]
        return list({**self._live, **self._ahead, **dict.fromkeys(arrived)})

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

    def settle(self, link: Link, after: int, roster: int) -> None:
        """Its snapshot reached up to ``after`` and has been written: everything later follows.

        ``roster`` is the snapshot's; where the feed knows of a later one, the link waits to be
        vouched for. A link that is not expected (any more) is left alone.
        """
        hold = self._joining.get(link)
        if hold is None:
            return
        self._live.pop(link, None)
        self._ahead.pop(link, None)
        hold.after, hold.roster = after, roster
        self.known = max(self.known, after)
        if self.position is None:
            self.roster = roster
            self._begin(after)
            self._tell_late()
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
        if hold.roster < self.roster:
            return
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
            self._ahead[link] = hold.after, hold.roster
        else:
            self._live[link] = hold.roster
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
        if former is None or (former.origin is None and entry.origin is not None):
            self._held[seq] = self._claim(entry)
        elif entry.roster < former.roster:  # one of them was read later than it was committed
            self._held[seq] = former._replace(roster=entry.roster)
        self._drain()

    def _claim(self, entry: Committed) -> Committed:
        """Take charge of the sender's answer when its link stands in this stream before it."""
        origin: Origin | None = entry.origin  # type: ignore[assignment]
        if origin is None:
            return entry
        link = origin.link
        seq = entry.message.seq
        if link in self._live or self._ahead.get(link, (seq, 0))[0] < seq:
            origin.take()
            return entry
        return entry._replace(origin=None)

    def _drain(self) -> None:
        while self.position is not None and self._held:
            entry = self._held.get(self.position + 1)
            if entry is None or entry.roster > self.roster:
                return
            self.position += 1
            del self._held[self.position]
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
        if self._ahead:
            for link in [link for link, (floor, _) in self._ahead.items() if floor <= seq]:
                self._live[link] = self._ahead.pop(link)[1]
        self._sent(entry)

    def tell(self, frame: bytes, roster: int, but: object = None) -> None:
        """Another notification for the inside links; one that is joining gets it afterwards."""
        if roster > self.roster:
            self._late.append(Late(roster, frame, but))
            return
        for link in [*self._live, *self._ahead]:
            if link is not but:
                link.write(frame)
        for link, hold in self._joining.items():
            if link not in self._live and link not in self._ahead and link is not but:
                hold.others.append(frame)

    # ---- members

    @property
    def doubtful(self) -> bool:
        """Whether something waits only because it may have changed who is a member."""
        roster = self.roster
        if self._late and any(late.roster > roster for late in self._late):
            return True
        if self._held and self.position is not None:
            entry = self._held.get(self.position + 1)
            if entry is not None and entry.roster > roster:
                return True
        holds = self._joining.values()
        return any(hold.after is not None and hold.roster < roster for hold in holds)

    def vouch(self, links: Collection[Link], roster: int) -> None:
        """These links were found to be members at ``roster``.

        Who was let in meanwhile stays at its own; the feed is where the last of all stands.
        """
        if self._joining:
            for link in links:
                hold = self._joining.get(link)
                if hold is not None and hold.after is not None:
                    hold.roster = max(hold.roster, roster)
        if roster <= self.roster:
            return
        for link in links:
            if link in self._live:
                self._live[link] = max(self._live[link], roster)
            elif link in self._ahead:
                floor, own = self._ahead[link]
                self._ahead[link] = floor, max(own, roster)
        ahead = [own for _, own in self._ahead.values()]
        self.roster = min([*self._live.values(), *ahead], default=roster)

    def _tell_late(self) -> None:
        late, self._late = self._late, []
        for roster, frame, but in late:
            self.tell(frame, roster, but)

    # ---- holes

    @property
    def whole(self) -> bool:
        """Whether plainly nothing is missing, as nearly always."""
        return self.known == self.position and not (self._late or self._joining)

    def hint(self, seq: int) -> None:
        """Somebody says that this seq exists."""
        self.known = max(self.known, seq)

    def wanted(self) -> int | None:
        """After which seq the database must be read; None when nothing is missing."""
        if self.position is None:
            return None
        wants = [hold.after for hold in self._joining.values() if hold.after is not None]
        if self.known > self.position or self._late:
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
        self._drain()
        self._tell_late()
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

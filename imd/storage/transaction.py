"""One transaction: a connection with the stores that share it.

:func:`transact` is the only place that begins, commits and rolls back (page 6, rule 4).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from imd.domain.push import NOTHING, Outbound
from imd.storage.audit import Audit
from imd.storage.engine import Broken, CommitUnknown, Connection
from imd.storage.events import Events
from imd.storage.keys import Keys
from imd.storage.log import Log
from imd.storage.message_events import MessageEvents
from imd.storage.messages import Messages
from imd.storage.outbox import Outbox
from imd.storage.outbox_views import OutboxViews
from imd.storage.participants import Participants
from imd.storage.push_tokens import PushTokens
from imd.storage.sessions import Sessions
from imd.storage.topics import Topics
from imd.storage.users import Users
from imd.storage.webhooks import Webhooks

T = TypeVar("T")


class Transaction:
    """The stores of one open transaction; each is made when it is first asked for.

    ``outbound`` says what the messages of this transaction leave to be pushed.
    """

    def __init__(self, connection: Connection, outbound: Outbound = NOTHING) -> None:
        self.connection, self._outbound = connection, outbound

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.connection, self.events)

    @cached_property
    def participants(self) -> Participants:
        return Participants(self.connection, self.outbox, self.events)

    @cached_property
    def users(self) -> Users:
        return Users(self.connection)

    @cached_property
    def messages(self) -> Messages:
        return Messages(self.connection, self.events)

    @cached_property
    def topics(self) -> Topics:
        return Topics(self.connection)

    @cached_property
    def log(self) -> Log:
        events = MessageEvents(self.events, self.topics)
        return Log(self.connection, self.outbox, events)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.connection, self._outbound)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.connection)

    def commit(self) -> None:
        """Write the events, chain the notes of the audit trail, and commit."""
        if "events" in self.__dict__:
            self.events.flush()
        if "audit" in self.__dict__:
            self.audit.flush()
        self.connection.commit()

    @cached_property
    def events(self) -> Events:
        return Events(self.connection, self._outbound)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.connection)

    @cached_property
    def pushes(self) -> OutboxViews:
        return OutboxViews(self.connection)

    @cached_property
    def tokens(self) -> PushTokens:
        return PushTokens(self.connection)

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.connection)


def transact(
    connection: Connection,
    work: Callable[[Transaction], T],
    *,
    write: bool,
    outbound: Outbound = NOTHING,
) -> T:
    """Run ``work`` in a transaction of its own and commit what it did.

    Whatever ``work`` raises goes on after a rollback. CommitUnknown when the connection died in
    the commit of a write; the end of a read has no outcome to be unknown, it is only Broken.
    """
    connection.begin(write=write)
    try:
        transaction = Transaction(connection, outbound)
        value = work(transaction)
        transaction.commit()
    except Broken:
        raise
    except CommitUnknown as error:
        if write:
            raise
        raise Broken(str(error)) from error
    except BaseException:
        connection.rollback()
        raise
    return value

"""The mutants: each breaks one promise. What a run of it needs (nodes, faults) stands with it."""

from __future__ import annotations

from typing import Final

from tests.faults.mutant import Change, Mutant

_WRITER, _BATCH = "imd/storage/writer.py", "imd/storage/batch.py"
_LOG, _FEED, _FEEDS = "imd/storage/log.py", "imd/delivery/feed.py", "imd/delivery/feeds.py"
_TABLES = "imd/storage/migrations/versions/0001_first.py"
_INSIDE: Final = """                return carry_out(transaction, jobs, now_ms)
"""
#: what is done between a batch's statements and its commit, in the batch's thread
_EARLY: Final = """                result = carry_out(transaction, jobs, now_ms)
                self._reactor.callFromThread(early, result)
                import time
                time.sleep(0.05)
                return result
"""
_NO_KEYS: Final = Change(
    _TABLES,
    "CREATE UNIQUE INDEX messages_key ON messages (session_id, sender_id, client_msg_id)",
    "CREATE INDEX messages_key ON messages (session_id, sender_id, client_msg_id)",
)

MUTANTS: Final = (
    Mutant(
        "acknowledged-before-the-commit",
        frozenset({"I1"}),
        (
            Change(_WRITER, _INSIDE, _EARLY),
            Change(
                _WRITER,
                "        def work(connection: Connection) -> Result:\n",
                "        def early(result: Result) -> None:\n"
                "            for waiting, outcome in zip(batch, result.outcomes):\n"
                "                if not isinstance(outcome, Busy):\n"
                "                    waiting.settle(outcome)\n\n"
                "        def work(connection: Connection) -> Result:\n",
            ),
        ),
        faults=("kill",),
        seconds=10,
    ),
    Mutant(
        "delivered-before-the-commit",
        frozenset({"I1"}),
        (
            Change(_WRITER, _INSIDE, _EARLY),
            Change(
                _WRITER,
                "        def work(connection: Connection) -> Result:\n",
                "        def early(result: Result) -> None:\n"
                "            self._announce(result.committed)\n\n"
                "        def work(connection: Connection) -> Result:\n",
            ),
        ),
        ground="postgres",
        faults=("db-crash", "db-cut"),
        seconds=10,
    ),
    Mutant(
        "durable-only-a-little-later",
        frozenset({"I1"}),
        (
            Change(
                "imd/storage/postgres.py",
                '    f"{_ALWAYS} -c statement_timeout={STATEMENT_MS}',
                '    "-c synchronous_commit=off "\n'
                '    f"{_ALWAYS} -c statement_timeout={STATEMENT_MS}',
            ),
        ),
        ground="postgres",
        faults=("db-crash",),
        seconds=10,
    ),
    Mutant(
        "key-only-in-memory",
        frozenset({"I2"}),
        (
            _NO_KEYS,
            Change(_BATCH, "class Busy:\n", "_seen: set[object] = set()\n\n\nclass Busy:\n"),
            Change(
                _BATCH,
                "        if facts.former_seq is not None:\n",
                "        key = draft.session_id, draft.sender_id, draft.client_msg_id\n"
                "        if facts.former_seq is not None and key in _seen:\n",
            ),
            Change(
                _BATCH,
                "        return None\n\n    def _settled",
                "        _seen.add(key)\n        return None\n\n    def _settled",
            ),
        ),
        ground="bus",
    ),
    Mutant(
        "one-key-for-all-sessions",
        frozenset({"I2"}),
        (
            Change(
                _LOG,
                " LEFT JOIN messages m ON m.session_id = v.column2 AND m.sender_id",
                " LEFT JOIN messages m ON m.sender_id",
            ),
        ),
    ),
    Mutant(
        "a-gap-in-seq",
        frozenset({"I3", "I4"}),
        (Change(_LOG, "self.seq += 1\n", "self.seq += 1 + (self.seq % 17 == 16)\n"),),
    ),
    Mutant(
        "time-by-the-clock",
        frozenset({"stamps"}),
        (Change(_LOG, "max(now, self.stamp + 1)", "now"),),
        faults=("clock-back",),
    ),
    Mutant(
        "recovery-off-by-one",
        frozenset({"I4"}),
        (
            Change(
                "imd/actions/live.py",
                "MessageQuery(session.id, above=after_seq,",
                "MessageQuery(session.id, above=after_seq + 1,",
            ),
        ),
        faults=("net-cut",),
    ),
    Mutant(
        "live-begins-one-too-early",
        frozenset({"I4"}),
        (
            Change(
                _FEED,
                "hold.after, hold.roster = after, roster",
                "hold.after, hold.roster = max(0, after - 1), roster",
            ),
        ),
        faults=("net-cut",),
    ),
    Mutant(
        "joined-after-the-snapshot",
        frozenset({"I4"}),
        (
            Change(
                "imd/websocket/entrance.py",
                "    admission.expect(link, session_id)\n    try:\n"
                "        joined = await link.room.arrivals.join(entry)\n",
                "    try:\n"
                "        joined = await link.room.arrivals.join(entry)\n"
                "        await live.unread_total(\n"
                "            link.room.house, link.caller, UserId(link.user_id))\n"
                "        admission.expect(link, session_id)\n"
                "        feed = link.room.house.courier.feeds.get(session_id)\n"
                "        last = max(joined.last_seq, feed.position or 0)\n"
                "        joined = joined._replace(last_seq=last)\n",
            ),
        ),
        faults=("net-cut",),
        seconds=8,
    ),
    Mutant(
        "told-again",
        frozenset({"I4"}),
        (
            Change(
                _FEED,
                "                    link.write(frame)\n        if self._ahead:",
                "                    link.write(frame)\n"
                "                    if seq % 9 == 0:\n"
                "                        link.write(frame)\n"
                "        if self._ahead:",
            ),
        ),
    ),
    Mutant(
        "marks-moved-by-making-a-session",
        frozenset({"I5", "marks"}),
        (
            Change(
                "imd/actions/sessions.py",
                "    there = set(transaction.participants.ids(head.id))\n",
                "    there = set(transaction.participants.ids(head.id))\n"
                "    transaction.connection.run(\n"
                "        'UPDATE participants SET read_seq = %s, delivered_seq = %s,'\n"
                "        ' read_counted = %s WHERE session_id = %s',\n"
                "        (head.last_seq, head.last_seq, head.counted, head.id),\n"
                "    )\n",
            ),
        ),
    ),
    Mutant(
        "a-mark-that-falls",
        frozenset({"marks", "I5"}),
        (
            Change(
                _BATCH,
                "        if not read or goal.seq <= self.read_seq:\n",
                "        if not read:\n",
            ),
        ),
    ),
    Mutant(
        "own-messages-are-unread",
        frozenset({"I5", "marks"}),
        (
            Change(
                _LOG,
                '    "UPDATE participants SET read_seq = v.column3, delivered_seq = v.column3,"\n'
                '    " read_counted = v.column4, last_fetch_time',
                '    "UPDATE participants SET read_seq = participants.read_seq, delivered_seq ='
                ' v.column3,"\n    " read_counted = participants.read_counted, last_fetch_time',
            ),
        ),
    ),
    Mutant(
        "counters-beside-the-transaction",
        frozenset({"I5"}),
        (
            Change(
                _LOG,
                "        self.counted += counted\n",
                "        self.counted += counted and self.seq % 11 != 0\n",
            ),
        ),
    ),
    Mutant(
        "several-live-topics",
        frozenset({"I6"}),
        (
            Change(_TABLES, "CREATE UNIQUE INDEX topics_live", "CREATE INDEX topics_live"),
            Change(
                "imd/actions/topic_start.py",
                "    if head.current_topic_id is not None:\n",
                "    if False:\n",
            ),
        ),
        seconds=6,
    ),
    Mutant(
        "messages-forget-their-topic",
        frozenset({"I6"}),
        (
            Change(
                _LOG,
                "draft.topic_id if draft.topic_id is not None else head.current_topic_id",
                "draft.topic_id",
            ),
        ),
        seconds=6,
    ),
    Mutant(
        "a-removal-that-closes-nothing",
        frozenset({"I8"}),
        (
            Change(
                _FEEDS,
                "            self._end(feed, feed.links(user_ids))\n",
                "            feed.links(user_ids)\n",
            ),
            Change(
                _FEEDS,
                "            self._end(feed, links)\n            ended += len(links)\n",
                "            ended += len(links)\n",
            ),
        ),
        seconds=8,
    ),
    Mutant(
        "membership-only-at-login",
        frozenset({"I8"}),
        (
            Change(
                _FEEDS,
                "            self._end(feed, links)\n            ended += len(links)\n",
                "            ended += len(links)\n",
            ),
        ),
        ground="bus",
        seconds=10,
    ),
    Mutant(
        "no-subscription-after-a-loss",
        frozenset({"prompt"}),
        (
            Change(
                "imd/delivery/redis_bus.py",
                '        await connection.ask("SUBSCRIBE", self._channel)\n',
                "        if not self.received:\n"
                '            await connection.ask("SUBSCRIBE", self._channel)\n',
            ),
        ),
        ground="bus",
        faults=("redis-kill",),
        seconds=3,
        peace=10,
        pace=1.5,
    ),
    Mutant(
        "no-sweep",
        frozenset({"prompt", "I4"}),
        (
            Change(
                "imd/delivery/sweep.py",
                "        went_on, expelled = await self._courier.feeds.sweep()\n",
                "        went_on, expelled = 0, 0\n",
            ),
        ),
        ground="bus",
        faults=("bus-silent", "redis-freeze"),
        seconds=18,
        pace=3.0,
        longest=16.0,
    ),
    Mutant(
        "a-hint-is-believed",
        frozenset({"I4"}),
        (
            Change(
                _FEEDS,
                "            feed.hint(seq)\n            self.mend(feed, 0)\n",
                "            feed.hint(seq)\n"
                "            feed.position = max(feed.position or 0, seq)\n",
            ),
        ),
        ground="bus",
    ),
    Mutant(
        "a-broken-connection-is-kept",
        frozenset({"healthy"}),
        (
            Change(
                "imd/storage/executor.py",
                "        connection, self.connection = self.connection, None\n",
                "        connection = None\n",
            ),
        ),
        ground="postgres",
        faults=("db-crash",),
        seconds=2,
    ),
    Mutant(
        "a-crash-loop-without-pauses",
        frozenset({"errors"}),
        (
            Change(
                "imd/service/crew.py",
                "minRestartDelay, maxRestartDelay = 0.1, 30",
                "minRestartDelay, maxRestartDelay = 0.1, 0.1",
            ),
        ),
        ground="workers",
        faults=("crash-loop",),
        seconds=4,
    ),
    Mutant(
        "a-page-that-never-reads-is-kept",
        frozenset({"errors"}),
        (
            Change(
                "imd/websocket/protocol.py",
                "        if self._waiting() <= self.link.room.settings.buffer:\n",
                "        if self._waiting() >= 0:\n",
            ),
            Change(
                "imd/websocket/link.py",
                "        elif stuck <= 0:\n",
                "        elif tick < 0:\n",
            ),
        ),
        faults=("deaf-readers",),
        seconds=3,
    ),
    Mutant(
        "a-stop-that-fails",
        frozenset({"errors"}),
        (
            Change(
                "imd/service/wiring.py",
                'steps.add("store", lambda: store.close(_STORE_LIMIT), _STORE_LIMIT +'
                " _STORE_MARGIN)",
                'steps.add("store", lambda: __import__("os")._exit(3), _STORE_LIMIT +'
                " _STORE_MARGIN)",
            ),
        ),
        faults=("term",),
        seconds=3,
    ),
)

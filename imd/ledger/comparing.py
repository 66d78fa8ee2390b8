"""The last look after moving over: imd's logs are read back and held against the original's.

The run remembers of each session how many messages it read and their digest; here both are made
again from what imd holds (page 7.1). Messages that were sent with imd since are passed over.
"""

from __future__ import annotations

import json

from imd.actions.arrivals import Page, Record, Target
from imd.ledger.roll import Digest


class _Log:
    """One session's log while it is read back."""

    def __init__(self, record: Record) -> None:
        self.record, self.digest, self.number = record, Digest(), 0
        self._spans = json.loads(record.spans)

    def add(self, page: Page) -> None:
        if any(first <= page.seq <= last for first, last in self._spans):
            self.number += 1
            self.digest.add(page.id, page.sender_id, page.sender_name, page.type, page.content)

    @property
    def same(self) -> bool:
        return (self.number, str(self.digest)) == (self.record.messages, self.record.checksum)


def compare(target: Target) -> tuple[int, int]:
    """How many sessions were compared, and how many of them differ from the original."""
    open_: _Log | None = None
    there = different = 0
    for pages in target.log():
        records = target.records(sorted({page.session_id for page in pages}))
        for page in pages:
            if open_ is not None and open_.record.session_id != page.session_id:
                different += not open_.same
                open_ = None
            if open_ is None and (record := records.get(page.session_id)) is not None:
                open_ = _Log(record)
                there += record.messages > 0
            if open_ is not None:
                open_.add(page)
    if open_ is not None:
        different += not open_.same
    number, with_messages = target.recorded()
    return number, different + with_messages - there

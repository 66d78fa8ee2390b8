"""What moving over reports (page 7.1), kept with the progress so that a killed run goes on with it.

The run counts in it, the command line prints it. It decides nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from imd.ledger.names import COLUMNS
from imd.ledger.spans import Findings


@dataclass(slots=True)
class Report:
    """The figures of one run, those of its killed beginnings included."""

    source: Counter[str] = field(default_factory=Counter)
    imported: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    equal_timestamps: int = 0
    null_marks: int = 0
    last_messages_different: int = 0
    topics: Findings = field(default_factory=Findings)
    ignored_columns: list[str] = field(default_factory=list)
    missing_columns: list[str] = field(default_factory=list)
    missing_tables: list[str] = field(default_factory=list)
    sessions_compared: int = 0
    sessions_different: int = 0
    #: seconds that went into moving, comparing apart
    seconds: float = 0.0
    resumed: bool = False
    #: whether doctors, patients and devices have been moved
    directory: bool = False
    rejects_file: str | None = None
    #: nothing was stored
    dry_run: bool = False
    #: what a run would have to make first
    would_make: list[str] = field(default_factory=list)

    def kept(self) -> str:
        """As it is kept with the progress."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps({**values, "topics": asdict(self.topics)})

    @classmethod
    def of(cls, kept: str) -> Report:
        """A report that was kept."""
        values = json.loads(kept)
        for name in ("source", "imported", "rejected"):
            values[name] = Counter(values[name])
        values["topics"] = Findings(**values["topics"])
        return cls(**values)

    def onward(self, former: Report) -> Report:
        """The former report, to go on with; what is said of tables is this one's."""
        former.ignored_columns, former.missing_columns = self.ignored_columns, self.missing_columns
        former.missing_tables, former.resumed = self.missing_tables, True
        return former

    def value(self) -> dict[str, Any]:
        """As it is printed as JSON."""
        seconds, number = self.seconds, sum(self.imported[n] for n in COLUMNS if "_messages" in n)
        return {
            "source": {name: self.source[name] for name in COLUMNS if self._there(name)},
            "imported": {name: self.imported[name] for name in COLUMNS if self._there(name)},
            "rejected": dict(sorted(self.rejected.items())),
            "rejects_file": self.rejects_file,
            "equal_timestamps": self.equal_timestamps,
            "null_marks": self.null_marks,
            "last_messages_different": self.last_messages_different,
            "topic_overlaps": self.topics.overlaps,
            "topic_starts_replaced": self.topics.starts_replaced,
            "topic_ends_replaced": self.topics.ends_replaced,
            "topics_without_messages": self.topics.without_messages,
            "topics_ended": self.topics.overtaken,
            "missing_tables": self.missing_tables,
            "ignored_columns": self.ignored_columns,
            "missing_columns": self.missing_columns,
            "sessions_compared": self.sessions_compared,
            "sessions_different": self.sessions_different,
            "messages_per_second": round(number / seconds) if seconds > 0 else 0,
            "resumed": self.resumed,
            **({"dry_run": True, "would_make": self.would_make} if self.dry_run else {}),
        }

    def _there(self, table: str) -> bool:
        return table not in self.missing_tables

    def lines(self) -> list[str]:
        """The same for people."""
        value = self.value()
        moved = "would move" if self.dry_run else "moved"
        rows = [
            f"{name:<16} {value['source'][name]:>12} there {value['imported'][name]:>12} {moved}"
            for name in value["source"]
        ]
        rejects = ", ".join(f"{n} {reason}" for reason, n in value["rejected"].items())
        rows.append(f"rejected: {rejects or 'none'}; see {self.rejects_file}")
        notes = {
            "equal_timestamps": "messages with the time of the one before, moved by 1 ms",
            "null_marks": "members who never fetched",
            "last_messages_different": "sessions whose own note of the last message was wrong",
            "topic_overlaps": "topics that begin inside another",
            "topic_starts_replaced": "topics whose first message was not there",
            "topic_ends_replaced": "topics whose last message was not there",
            "topics_without_messages": "topics that cannot be placed, kept without messages",
            "topics_ended": "live topics beside a later one, ended",
        }
        rows += [f"{value[name]} {said}" for name, said in notes.items() if value[name]]
        for name in ("missing_tables", "missing_columns", "ignored_columns"):
            if value[name]:
                rows.append(f"{name.replace('_', ' ')}: {', '.join(value[name])}")
        if self.dry_run:
            made = f"; would make {', '.join(self.would_make)}" if self.would_make else ""
            return [*rows, f"nothing was stored{made}"]
        rows.append(
            f"{self.sessions_compared} sessions compared, {self.sessions_different} different"
            f" ({value['messages_per_second']} messages a second)"
        )
        return rows

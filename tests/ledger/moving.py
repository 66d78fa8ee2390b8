"""Runs of ``imdctl import-legacy``, and what imd holds afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from imd.storage.engine import connector

PROGRAM = [sys.executable, "-m", "imd.cli"]


class Moving:
    """A source, a target, and a state directory."""

    def __init__(self, source: str, target: str, state: Path) -> None:
        self.source, self.target, self.state = source, target, state

    def command(self, *words: str) -> list[str]:
        run = "import sys; from imd.cli.main import main; main()"
        return [
            sys.executable, "-c", run, "import-legacy", self.source,
            "--state-dir", str(self.state), "--json", *words,
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "IMD_DATABASE_URL": self.target, "IM_PROFILE": "dev"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, status: int = 0) -> Any:
        """The report; the words on stderr where it failed."""
        from click.testing import CliRunner

        from imd.cli.main import imdctl

        line = ["import-legacy", self.source, "--state-dir", str(self.state), "--json", *words]
        result = CliRunner().invoke(imdctl, line, env=self.environment, standalone_mode=False)
        code = result.return_value if result.exception is None else None
        if result.exception is not None:
            code = getattr(result.exception, "exit_code", None)
            if code is None:
                raise result.exception
        assert code == status, (code, result.output, result.exception)
        if result.exception is not None:
            return str(result.exception.format_message())  # type: ignore[attr-defined]
        return json.loads(result.stdout)

    def rejects(self) -> list[tuple[str, str | None, str | None, str]]:
        text = (self.state / "import-rejects.jsonl").read_text("utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        return sorted(
            ((r["table"], r["key"], r["session_id"], r["reason"]) for r in rows),
            key=lambda row: tuple(str(part) for part in row),
        )

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with closing(connector(self.target, patient=True)()) as connection:
            connection.begin(write=False)
            found = [tuple(row) for row in connection.rows(sql, params)]
            connection.rollback()
            return found

    def change(self, sql: str, *params: Any) -> int:
        with closing(connector(self.target)()) as connection:
            connection.begin(write=True)
            number = connection.run(sql, params)
            connection.commit()
            return number

    def log(self, session_id: str) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT seq, id, timestamp, topic_id FROM messages WHERE session_id = %s ORDER BY seq",
            session_id,
        )

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that moved, to see that nothing changes."""
        tables = ("users", "devices", "sessions", "participants", "messages", "topics")
        more = ("topic_tallies", "participant_topics", "legacy_sessions")
        return {
            table: sorted(self.rows(f"SELECT * FROM {table}"), key=repr) for table in tables + more
        }

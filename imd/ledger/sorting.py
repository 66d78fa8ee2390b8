"""More rows than memory holds, put in order on this side.

Reading sorts the original's messages with it: a server that sorts a table with long texts fetches
each row from another place of its disk, while one that reads it from end to end is ten times as
quick. Rows wait in files without a name, which are gone with the process however it ends. It
refuses to know what the rows are.
"""

from __future__ import annotations

import heapq
import marshal
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import IO, Any, Final

#: rows and characters that are sorted in memory at a time
_ROWS: Final = 60_000
_CHARACTERS: Final = 16_000_000
#: rows and characters of a block, of which each file has one in memory while it is read
_BLOCK_ROWS: Final = 256
_BLOCK_CHARACTERS: Final = 65_536
#: files that are read together; so many are made one
_FILES: Final = 64
#: marshal's form without references: quick, and read by this process only
_FORM: Final = 2


class Sorter:
    """Texts, or tuples of plain values whose item ``heavy`` is the text that may be long.

    ``folder`` is where the files lie, which become as large as what is sorted. Use it in a
    ``closing`` block.
    """

    def __init__(self, folder: str | None, heavy: int | None = None) -> None:
        self._folder, self._heavy = folder, heavy
        self._rows: list[Any] = []
        self._weight = 0
        #: files by how often they were merged
        self._levels: list[list[IO[bytes]]] = []

    def add(self, rows: Sequence[Any]) -> None:
        """Take some thousand more rows; OSError when the disk is full."""
        self._rows += rows
        if self._heavy is not None:
            self._weight += sum([len(row[self._heavy]) for row in rows])
        if len(self._rows) >= _ROWS or self._weight >= _CHARACTERS:
            self._rows.sort()
            self._keep(0, self._rows)
            self._rows, self._weight = [], 0

    @property
    def waiting(self) -> int:
        """How many rows are in memory."""
        return len(self._rows)

    def sorted(self) -> Iterator[Any]:
        """All rows in their order, once."""
        self._rows.sort()
        files = [file for level in self._levels for file in level]
        return heapq.merge(self._rows, *map(_read, files)) if files else iter(self._rows)

    def close(self) -> None:
        """Let the files go."""
        for file in (file for level in self._levels for file in level):
            file.close()
        self._levels, self._rows = [], []

    def _keep(self, level: int, rows: Iterable[Any]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(self._written(rows))
        files = self._levels[level]
        if len(files) == _FILES:
            self._keep(level + 1, heapq.merge(*map(_read, files)))
            self._levels[level] = []

    def _written(self, rows: Iterable[Any]) -> IO[bytes]:
        file: IO[bytes] = TemporaryFile(dir=self._folder)  # noqa: SIM115 - read later
        block: list[Any] = []
        weight = 0
        for row in rows:
            block.append(row)
            if self._heavy is not None:
                weight += len(row[self._heavy])
            if len(block) >= _BLOCK_ROWS or weight >= _BLOCK_CHARACTERS:
                _put(file, block)
                block, weight = [], 0
        _put(file, block)
        _put(file, [])
        file.seek(0)
        return file


def _put(file: IO[bytes], block: list[Any]) -> None:
    data = marshal.dumps(block, _FORM)
    file.write(len(data).to_bytes(8))
    file.write(data)


def _read(file: IO[bytes]) -> Iterator[Any]:
    """The rows of a file, which is closed behind the last."""
    with file:
        while block := marshal.loads(file.read(int.from_bytes(file.read(8)))):
            yield from block

"""More rows than memory holds are put in order, whatever lies in files and how often merged."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from imd.ledger import sorting
from imd.ledger.sorting import Sorter


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 64, 500, 5000])
def test_rows_come_in_order(monkeypatch, tmp_path, number):
    monkeypatch.setattr(sorting, "_ROWS", 8)
    monkeypatch.setattr(sorting, "_BLOCK_ROWS", 3)
    monkeypatch.setattr(sorting, "_FILES", 4)
    rnd = random.Random(number)
    rows = [(rnd.choice("Sä医\U0001f600"), rnd.randint(-9, 9), n, "长" * n) for n in range(number)]
    rnd.shuffle(rows)
    with closing(Sorter(str(tmp_path), heavy=3)) as sorter:
        for start in range(0, number, 5):
            sorter.add(rows[start : start + 5])
        assert not list(tmp_path.iterdir())  # files without a name: nothing is left by a kill
        assert list(sorter.sorted()) == sorted(rows)


def test_texts_are_ordered_by_their_bytes(monkeypatch, tmp_path):
    monkeypatch.setattr(sorting, "_ROWS", 2)
    texts = ["é", "z", "Z", "", "\U0001f600", "\uffff", "a", "a", "ab"]
    with closing(Sorter(str(tmp_path))) as sorter:
        for text in texts:
            sorter.add([text])
        assert list(sorter.sorted()) == sorted(texts, key=str.encode)


def test_long_texts_do_not_gather_in_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(sorting, "_CHARACTERS", 100)
    with closing(Sorter(str(tmp_path), heavy=1)) as sorter:
        for n in range(50):
            sorter.add([(n, "x" * 60)])
            assert sorter.waiting <= 2
        assert [row[0] for row in sorter.sorted()] == list(range(50))

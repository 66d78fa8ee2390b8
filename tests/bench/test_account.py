"""The bench's account of a run: what it calls lost, doubled and out of order."""

from __future__ import annotations

from bench.account import Account


def keys(*numbers: int) -> list[bytes]:
    return [b"%016x" % number for number in numbers]


def run(each: int, sent: list[bytes], arrived: list[tuple[str, bytes]]) -> Account:
    account = Account(each)
    for key in sent:
        account.sent(key)
    for receiver, key in arrived:
        account.arrived(receiver, key)
    return account


def test_all_that_arrives_once_and_in_order_is_no_fault() -> None:
    a, b = keys(10, 11)
    account = run(2, [a, b], [("p", a), ("q", a), ("p", b), ("q", b)])
    assert account.figures() == {"lost": 0, "duplicated": 0, "reordered": 0}


def test_what_one_of_two_does_not_get_is_lost() -> None:
    a, b = keys(10, 11)
    assert run(2, [a, b], [("p", a), ("q", a), ("p", b)]).lost == 1


def test_what_comes_twice_makes_up_for_nothing_that_is_lost() -> None:
    a, b = keys(10, 11)
    account = run(1, [a, b], [("p", a), ("p", a)])
    assert account.figures() == {"lost": 1, "duplicated": 1, "reordered": 0}


def test_what_overtakes_is_out_of_order_for_that_receiver_only() -> None:
    a, b = keys(10, 11)
    account = run(2, [a, b], [("p", b), ("p", a), ("q", a), ("q", b)])
    assert account.figures() == {"lost": 0, "duplicated": 0, "reordered": 1}


def test_what_comes_of_an_earlier_run_comes_twice() -> None:
    old, a = keys(5, 10)
    account = Account(1)
    assert not account.arrived("p", old)
    account.sent(a)
    assert not account.arrived("p", old)
    assert account.arrived("p", a)
    assert account.figures() == {"lost": 0, "duplicated": 2, "reordered": 0}

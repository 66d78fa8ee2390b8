"""Hints name sessions and users by whatever kind of id the program has at hand."""

from __future__ import annotations

from imd.domain.ids import SessionId, UserId
from imd.wire.hints import Bundle, Read, encode_bundle, parse_bundle


def test_a_checked_id_goes_into_a_hint_as_it_is() -> None:
    hint = Read(session=SessionId.parse("s1"), user=UserId.parse("D1"))
    bundle = Bundle(epoch="e", origin="o", time=1, hints=[hint])
    assert parse_bundle(encode_bundle(bundle)) == bundle

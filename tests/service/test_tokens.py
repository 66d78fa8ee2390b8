"""Access tokens: one good road in, and every other one refused alike (page 2.1)."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import Forbidden, InvalidInput, Unauthenticated
from imd.service.tokens import LEEWAY, LONGEST, Tokens, fingerprint
from tests.service.fakes import NOW, HandClock, counted_entropy
from tests.service.signing import (
    CLAIMS,
    EC_KEY,
    ED_KEY,
    HEADER,
    RSA_KEY,
    SECONDS,
    SECRET,
    b64,
    claiming,
    heading,
    mac,
    pem,
    raw_token,
    token,
)


def tokens(clock: HandClock | None = None, **more: Any) -> Tokens:
    settings: dict[str, Any] = {"secret": SECRET, **more}
    return Tokens(clock=clock or HandClock(), entropy=counted_entropy(), **settings)


GOOD = token()
FIRST, SECOND, THIRD = GOOD.split(".")
OTHER = claiming(sub="D2")
_RSA_PEM = pem(RSA_KEY).encode()
_CLAIMS = json.dumps(CLAIMS)[1:-1].encode()
_HEADER = json.dumps(HEADER)[1:-1].encode()


def rs256(message: str, key: Any = RSA_KEY) -> str:
    signature = key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{message}.{b64(signature)}"


def message_of(header: dict[str, Any], claims: dict[str, Any] = CLAIMS) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"


def es256(message: str) -> str:
    return f"{message}.{b64(EC_KEY.sign(message.encode(), ec.ECDSA(hashes.SHA256())))}"


def eddsa(message: str) -> str:
    return f"{message}.{b64(ED_KEY.sign(message.encode()))}"


DEFECTS: dict[str, str] = {
    # ---- shape
    "empty": "",
    "one word": "token",
    "two parts": f"{FIRST}.{SECOND}",
    "two parts and a dot": f"{FIRST}.{SECOND}.",
    "only dots": "..",
    "three dots": "...",
    "extra dot in front": f".{GOOD}",
    "extra dot at the end": f"{GOOD}.",
    "a fourth part": f"{GOOD}.{THIRD}",
    "empty header": f".{SECOND}.{THIRD}",
    "empty claims": f"{FIRST}..{THIRD}",
    "space in front": f" {GOOD}",
    "space at the end": f"{GOOD} ",
    "line end at the end": f"{GOOD}\n",
    "space inside": f"{FIRST} .{SECOND}.{THIRD}",
    "tab inside": f"{FIRST}.\t{SECOND}.{THIRD}",
    "NUL at the end": f"{GOOD}\0",
    "zero-width space": f"{GOOD}​",
    "with its scheme": f"Bearer {GOOD}",
    "in quotes": f'"{GOOD}"',
    "one megabyte": "A" * 1_000_000 + GOOD,
    "one megabyte of claims": claiming(x="y" * 1_000_000),
    "just too long": claiming(x="y" * LONGEST),
    "full-width dots": GOOD.replace(".", "．"),
    "full-width letters": f"{chr(ord(FIRST[0]) + 0xFEE0)}{FIRST[1:]}.{SECOND}.{THIRD}",
    "half of a surrogate pair": f"{GOOD}\ud800",
    "a JSON serialisation": json.dumps(
        {"payload": SECOND, "signatures": [{"protected": FIRST, "signature": THIRD}]}
    ),
    # ---- base64
    "padded signature": f"{GOOD}=",
    "padded claims": f"{FIRST}.{SECOND}==.{THIRD}",
    "padded, and signed so": f"{FIRST}.{SECOND}=.{b64(mac(f'{FIRST}.{SECOND}='))}",
    "standard alphabet": raw_token(b'{"alg":"HS256"}', _CLAIMS.join((b"{", b"}")))
    .replace("_", "/")
    .replace("-", "+")
    + "/",
    "impossible length": f"{FIRST}.{SECOND}.{THIRD[:-2]}",
    "stray bits in the signature": f"{FIRST}.{SECOND}.{THIRD[:-1]}{chr(ord(THIRD[-1]) ^ 1)}",
    "percent-encoded": GOOD.replace(".", "%2E"),
    # ---- signature
    "stripped signature": f"{FIRST}.{SECOND}.{b64(b'')}",
    "swapped signature": f"{FIRST}.{SECOND}.{OTHER.split('.')[2]}",
    "swapped claims": f"{FIRST}.{OTHER.split('.')[1]}.{THIRD}",
    "cut signature": f"{FIRST}.{SECOND}.{b64(mac(f'{FIRST}.{SECOND}')[:16])}",
    "longer signature": f"{FIRST}.{SECOND}.{b64(mac(f'{FIRST}.{SECOND}') + b'x')}",
    "signature of zeros": f"{FIRST}.{SECOND}.{b64(bytes(32))}",
    "another secret": token(secret=b"another secret of 32 bytes and more"),
    "the empty secret": token(secret=b""),
    "signed as hex": f"{FIRST}.{SECOND}.{b64(mac(f'{FIRST}.{SECOND}').hex().encode())}",
    # ---- algorithm
    "alg none": heading(alg="none"),
    "alg none, unsigned": f"{message_of({'alg': 'none'})}.",
    "alg None": heading(alg="None"),
    "alg nOnE, unsigned": f"{message_of({'alg': 'nOnE'})}.",
    "alg empty": heading(alg=""),
    "alg missing": heading(alg=...),
    "alg null": heading(alg=None),
    "alg a number": heading(alg=256),
    "alg a list": heading(alg=["HS256"]),
    "alg in lower case": heading(alg="hs256"),
    "alg with a space": heading(alg="HS256 "),
    "alg in full-width letters": heading(alg="ＨＳ２５６"),
    "HS384": token({"alg": "HS384"}, digest="sha384"),
    "HS512": token({"alg": "HS512"}, digest="sha512"),
    "HS256 named, SHA-512 used": token(digest="sha512"),
    "RS256, not configured": rs256(message_of({"alg": "RS256"})),
    "ES256": es256(message_of({"alg": "ES256"})),
    "EdDSA, not configured": eddsa(message_of({"alg": "EdDSA"})),
    "PS256": rs256(message_of({"alg": "PS256"})),
    # ---- header
    "header no object": raw_token(b'["HS256"]', json.dumps(CLAIMS).encode()),
    "header a string": raw_token(b'"HS256"', json.dumps(CLAIMS).encode()),
    "header no JSON": raw_token(b"{alg:HS256}", json.dumps(CLAIMS).encode()),
    "header not UTF-8": raw_token(b'{"alg":"HS256","kid":"\xff"}', json.dumps(CLAIMS).encode()),
    "header in UTF-16": raw_token(json.dumps(HEADER).encode("utf-16"), json.dumps(CLAIMS).encode()),
    "header with a BOM": raw_token(b"\xef\xbb\xbf{" + _HEADER + b"}", json.dumps(CLAIMS).encode()),
    "alg twice": raw_token(b'{"alg":"none","alg":"HS256"}', json.dumps(CLAIMS).encode()),
    "alg twice, escaped": raw_token(
        b'{"alg":"HS256","\\u0061lg":"none"}', json.dumps(CLAIMS).encode()
    ),
    "crit": heading(crit=["exp"]),
    "crit empty": heading(crit=[]),
    "b64 false": heading(b64=False, crit=["b64"]),
    "jku": heading(jku="https://evil.example/keys"),
    "jwk": heading(jwk={"kty": "oct", "k": b64(SECRET)}),
    "x5u": heading(x5u="https://evil.example/cert"),
    "x5c": heading(x5c=["MIIB"]),
    "x5t": heading(x5t="abc"),
    "zip": heading(zip="DEF"),
    "cty": heading(cty="JWT"),
    "enc": heading(enc="A256GCM"),
    "kid a path": heading(kid="../../../../dev/null"),
    "kid SQL": heading(kid="x' UNION SELECT 'secret"),
    "kid a command": heading(kid="key|whoami"),
    "kid an address": heading(kid="https://evil.example/key"),
    "kid with a line end": heading(kid="a\nb"),
    "kid empty": heading(kid=""),
    "kid too long": heading(kid="k" * 129),
    "kid a number": heading(kid=1),
    "kid null": heading(kid=None),
    "typ another": heading(typ="JWE"),
    "typ a number": heading(typ=1),
    # ---- claims
    "claims no object": token(claims=[CLAIMS]),
    "claims a number": token(claims=1),
    "claims null": token(claims=None),
    "claims no JSON": raw_token(json.dumps(HEADER).encode(), b"sub=D1"),
    "claims with trailing text": raw_token(json.dumps(HEADER).encode(), b"{" + _CLAIMS + b"}x"),
    "claims nested deep": raw_token(
        json.dumps(HEADER).encode(), b"{" + _CLAIMS + b',"x":' + b"[" * 999 + b"]" * 999 + b"}"
    ),
    "sub twice": raw_token(json.dumps(HEADER).encode(), b"{" + _CLAIMS + b',"sub":"D2"}'),
    "role twice": raw_token(json.dumps(HEADER).encode(), b"{" + _CLAIMS + b',"role":"patient"}'),
    "exp twice": raw_token(json.dumps(HEADER).encode(), b"{" + _CLAIMS + b',"exp":9999999999}'),
    "sub missing": claiming(sub=...),
    "sub null": claiming(sub=None),
    "sub a number": claiming(sub=1),
    "sub true": claiming(sub=True),
    "sub a list": claiming(sub=["D1"]),
    "sub an object": claiming(sub={"id": "D1"}),
    "sub empty": claiming(sub=""),
    "sub too long": claiming(sub="D" * 129),
    "sub with a space": claiming(sub="D 1"),
    "sub with a slash": claiming(sub="D/1"),
    "sub with a comma": claiming(sub="D1,D2"),
    "sub with a line end": claiming(sub="D1\n"),
    "sub with NUL": claiming(sub="D1\0"),
    "sub with an ideographic space": claiming(sub="D1　"),
    "sub half of a pair": raw_token(
        json.dumps(HEADER).encode(),
        b'{"sub":"\\ud800","role":"doctor","exp":%d}' % (SECONDS + 600),
    ),
    "sub login": claiming(sub="login"),
    "sub logout": claiming(sub="logout"),
    "sub avatars": claiming(sub="avatars"),
    "sub dot": claiming(sub="."),
    "sub dots": claiming(sub=".."),
    "role missing": claiming(role=...),
    "role null": claiming(role=None),
    "role empty": claiming(role=""),
    "role admin": claiming(role="admin"),
    "role service": claiming(role="service"),
    "role in capitals": claiming(role="Doctor"),
    "role with a space": claiming(role="doctor "),
    "role with a Cyrillic o": claiming(role="dоctor"),
    "role a list": claiming(role=["doctor"]),
    "role a number": claiming(role=1),
    "role an object": claiming(role={"doctor": True}),
    "exp missing": claiming(exp=...),
    "exp null": claiming(exp=None),
    "exp a string": claiming(exp=str(SECONDS + 600)),
    "exp a float": claiming(exp=SECONDS + 600.0),
    "exp an exponent": raw_token(
        json.dumps(HEADER).encode(), b'{"sub":"D1","role":"doctor","exp":1e10}'
    ),
    "exp true": claiming(exp=True),
    "exp a list": claiming(exp=[SECONDS + 600]),
    "exp zero": claiming(exp=0),
    "exp negative": claiming(exp=-1),
    "exp in milliseconds": claiming(exp=NOW + 600_000),
    "exp beyond 64 bits": claiming(exp=2**64),
    "exp of a thousand digits": claiming(exp=10**1000),
    "exp Infinity": raw_token(
        json.dumps(HEADER).encode(), b'{"sub":"D1","role":"doctor","exp":Infinity}'
    ),
    "exp NaN": raw_token(json.dumps(HEADER).encode(), b'{"sub":"D1","role":"doctor","exp":NaN}'),
    "exp past": claiming(exp=SECONDS - LEEWAY),
    "exp long past": claiming(exp=1),
    "nbf in the future": claiming(nbf=SECONDS + LEEWAY + 1),
    "nbf a string": claiming(nbf="0"),
    "nbf a float": claiming(nbf=0.5),
    "nbf null": claiming(nbf=None),
    "nbf negative": claiming(nbf=-5),
    "iat a string": claiming(iat="now"),
    "iat a float": claiming(iat=1.5),
    "iat huge": claiming(iat=2**62),
    "jti a number": claiming(jti=7),
    "jti null": claiming(jti=None),
    "sid a string": claiming(sid="s1"),
    "sid null": claiming(sid=None),
    "sid an object": claiming(sid={"s1": True}),
    "sid of numbers": claiming(sid=[1]),
    "sid with an illegal id": claiming(sid=["s1", "a b"]),
    "sid with a reserved id": claiming(sid=["recent"]),
    "sid nested": claiming(sid=[["s1"]]),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_refused_with_the_same_sentence(defect):
    with pytest.raises(Unauthenticated) as refused:
        tokens().verify(DEFECTS[defect])
    assert refused.value.detail == Unauthenticated.sentence
    assert refused.value.extra == {}
    assert refused.value.__cause__ is None


def test_there_are_many_defects():
    assert len(DEFECTS) >= 60
    assert GOOD not in DEFECTS.values()


WITH_RSA: dict[str, str] = {
    "HS256 signed with the public key": token(secret=_RSA_PEM),
    "HS256 signed with the stripped public key": token(secret=_RSA_PEM.strip()),
    "RS256 of another key": rs256(
        message_of({"alg": "RS256"}), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ),
    "RS256 named, HS256 used": heading(alg="RS256"),
    "RS256 named, HS256 with the public key used": token({"alg": "RS256"}, secret=_RSA_PEM),
    "HS256 named, RS256 used": rs256(message_of({"alg": "HS256"})),
    "RS384 named": rs256(message_of({"alg": "RS384"})),
    "PS256 named": rs256(message_of({"alg": "PS256"})),
    "EdDSA named": eddsa(message_of({"alg": "EdDSA"})),
}


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("defect", WITH_RSA)
def test_a_public_key_serves_its_own_algorithm_alone(defect, secret):
    with pytest.raises(Unauthenticated):
        tokens(secret=secret, public_key=pem(RSA_KEY)).verify(WITH_RSA[defect])


def test_hs256_is_refused_where_only_a_public_key_is_configured():
    with pytest.raises(Unauthenticated):
        tokens(secret=None, public_key=pem(RSA_KEY)).verify(GOOD)


def test_rs256_and_eddsa_are_taken_when_their_key_is_configured():
    by_rsa = tokens(secret=None, public_key=pem(RSA_KEY))
    assert by_rsa.verify(rs256(message_of({"alg": "RS256", "kid": "2026-1"}))).user_id == "D1"
    by_ed = tokens(public_key=pem(ED_KEY))
    assert by_ed.verify(eddsa(message_of({"alg": "EdDSA"}))).user_id == "D1"
    assert by_ed.verify(GOOD).user_id == "D1"
    with pytest.raises(Unauthenticated):
        by_ed.verify(rs256(message_of({"alg": "RS256"})))


def test_a_public_key_of_another_kind_is_a_mistake_of_the_configuration():
    with pytest.raises(ValueError):
        tokens(public_key=pem(EC_KEY))


GOOD_ONES = {
    "plain": GOOD,
    "no typ": heading(typ=...),
    "typ in lower case": heading(typ="jwt"),
    "an access token's typ": heading(typ="at+jwt"),
    "a kid": heading(kid="2026-11.a"),
    "iat and jti": claiming(iat=SECONDS, jti="x"),
    "nbf within the leeway": claiming(nbf=SECONDS + LEEWAY),
    "exp within the leeway": claiming(exp=SECONDS - LEEWAY + 1),
    "foreign claims": claiming(iss="hospital", scope="anything", nested={"a": [1]}),
    "an audience that nobody asks for": claiming(aud=["other"]),
    "a Chinese id": claiming(sub="医生1"),
}


@pytest.mark.parametrize("name", GOOD_ONES)
def test_a_good_token_is_taken(name):
    caller = tokens().verify(GOOD_ONES[name])
    assert caller.role == "doctor" and caller.sid is None and not caller.is_service


def test_what_a_token_says():
    text = claiming(sub="p1", role="patient", sid=["s1", "s2", "s1"])
    caller = tokens().verify(text)
    assert (caller.user_id, caller.role) == ("p1", "patient")
    assert caller.sid == {"s1", "s2"}
    assert caller.fingerprint == fingerprint(text) and len(caller.fingerprint) == 64
    # Until then it is taken, leeway included: a revocation must be kept as long.
    assert caller.expires_at == (CLAIMS["exp"] + LEEWAY) * 1000
    assert caller.scopes == frozenset()
    assert tokens().verify(claiming(sid=[])).sid == frozenset()


@pytest.mark.parametrize("aud", ["imd", ["imd"], ["other", "imd"]])
def test_the_audience_is_taken(aud):
    assert tokens(audience="imd").verify(claiming(aud=aud)).user_id == "D1"


@pytest.mark.parametrize(
    "aud", [..., None, "", "other", "IMD", "imd ", [], ["other"], ["imd", 1], {"imd": 1}, 1, [None]]
)
def test_another_audience_is_refused(aud):
    with pytest.raises(Unauthenticated):
        tokens(audience="imd").verify(claiming(aud=aud))


def test_a_remembered_token_ends_when_it_must():
    clock = HandClock()
    door = tokens(clock)
    assert door.verify(GOOD) is door.verify(GOOD)
    clock.time = (SECONDS + 600 + LEEWAY) * 1000 - 1
    door.verify(GOOD)
    clock.time += 1
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            door.verify(GOOD)


def test_a_token_begins_when_it_must():
    clock = HandClock()
    door = tokens(clock)
    text = claiming(nbf=SECONDS + 100)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            door.verify(text)
    clock.time += 70_000
    assert door.verify(text).user_id == "D1"


def test_few_tokens_are_remembered_and_the_least_used_is_forgotten():
    door = tokens(most=2)
    one, two, three = (claiming(sub=f"D{n}") for n in range(3))
    first = door.verify(one)
    second = door.verify(two)
    assert door.verify(one) is first
    door.verify(three)
    assert door.verify(one) is first
    assert door.verify(two) is not second and door.verify(two) == second
    assert len(door._verified) == 2


def test_what_is_issued_is_taken_and_holds_what_it_should():
    door = tokens(audience="imd", ttl=100)
    text, end = door.issue("p1", "patient", NOW)
    assert end == NOW + 100_000
    caller = door.verify(text)
    assert (caller.user_id, caller.role, caller.sid) == ("p1", "patient", None)
    limited, end = door.issue("p1", "patient", NOW, ttl=5, sid=["s1"])
    assert end == NOW + 5000 and door.verify(limited).sid == {"s1"}
    again, _ = door.issue("p1", "patient", NOW)
    assert fingerprint(again) != fingerprint(text)


def test_pyjwt_takes_what_is_issued_and_is_taken():
    import jwt

    text, _ = tokens(audience="imd").issue("p1", "patient", NOW)
    claims = jwt.decode(text, SECRET, ["HS256"], audience="imd", options={"verify_iat": False})
    assert claims["sub"] == "p1" and claims["exp"] - claims["iat"] == 7200 and claims["jti"]
    assert tokens().verify(jwt.encode(CLAIMS, SECRET, "HS256")).user_id == "D1"


@pytest.mark.parametrize("role", ["", "admin", "Doctor"])
def test_nothing_is_issued_for_another_role(role):
    with pytest.raises(InvalidInput):
        tokens().issue("p1", role, NOW)


def test_nothing_is_issued_without_a_secret():
    with pytest.raises(Forbidden):
        tokens(secret=None, public_key=pem(RSA_KEY)).issue("p1", "patient", NOW)


@given(st.text(max_size=200))
def test_any_text_is_refused(text):
    with pytest.raises(Unauthenticated):
        tokens().verify(text)


@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_any_changed_character_is_refused(place, character):
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed != GOOD:
        with pytest.raises(Unauthenticated):
            tokens().verify(changed)


@given(
    st.dictionaries(
        st.sampled_from(["sub", "role", "exp", "nbf", "sid", "jti"]),
        st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text()),
    )
)
def test_any_signed_claims_are_taken_or_refused(claims):
    with suppress(Unauthenticated):
        tokens().verify(token(claims=claims))

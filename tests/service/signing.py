"""Tokens made by hand, so that a test can make any defect."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.service.fakes import NOW

SECRET = b"a secret of the tests, 32 bytes and more"
SECONDS = NOW // 1000
HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS = {"sub": "D1", "role": "doctor", "exp": SECONDS + 600}

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    made: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return made.decode()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mac(message: str, secret: bytes = SECRET, digest: str = "sha256") -> bytes:
    return hmac.new(secret, message.encode(), getattr(hashlib, digest)).digest()


def raw_token(header: bytes, claims: bytes, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """Any bytes, correctly signed."""
    message = f"{b64(header)}.{b64(claims)}"
    return f"{message}.{b64(mac(message, secret, digest))}"


def token(header: Any = HEADER, claims: Any = CLAIMS, **how: Any) -> str:
    """Any values, correctly signed."""
    return raw_token(json.dumps(header).encode(), json.dumps(claims).encode(), **how)


def claiming(**claims: Any) -> str:
    """A token whose claims are those of a good one, with these changed (... leaves one out)."""
    changed = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return token(claims=changed)


def heading(**fields: Any) -> str:
    """The same for the header."""
    return token({name: v for name, v in {**HEADER, **fields}.items() if v is not ...})

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from imd.config import Settings, defaults
from imd.service.secret import DEVELOPMENT_FILE, signing_secret
from tests.service.fakes import counted_entropy


def settings(folder: Path, profile="dev", **auth) -> Settings:
    base = defaults(profile, folder)
    return msgspec.structs.replace(base, auth=msgspec.structs.replace(base.auth, **auth))


def test_the_configured_secret_is_used(tmp_path):
    assert signing_secret(settings(tmp_path, secret="sé"), counted_entropy()) == "sé".encode()
    assert list(tmp_path.iterdir()) == []


def test_a_trusted_server_keeps_one_of_its_own(tmp_path):
    one = signing_secret(settings(tmp_path / "new" / "var"), counted_entropy())
    other = signing_secret(settings(tmp_path / "new" / "var"), counted_entropy())
    assert one == other and one is not None and len(one) >= 32
    (file,) = (tmp_path / "new" / "var").iterdir()
    assert file.name == DEVELOPMENT_FILE and file.stat().st_mode & 0o777 == 0o600


def test_in_profile_test_one_is_made_up_too(tmp_path):
    assert signing_secret(settings(tmp_path, "test"), counted_entropy()) is not None


def test_in_prod_none_is_made_up(tmp_path):
    assert signing_secret(settings(tmp_path, "prod"), counted_entropy()) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        signing_secret(settings(tmp_path / "file" / "var"), counted_entropy())

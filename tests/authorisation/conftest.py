"""The server that both tables are played on: token mode, SQLite, a key of each scope, no rates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.authorisation.world import make_keys
from tests.e2e.server import NO_LIMITS, Imd, running

#: three refused logins of a key are part of the table
LIMITS = {**NO_LIMITS, "IMD_LIMITS_FAILED_LOGINS_PER_MINUTE": "0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Imd, dict[str, str]]]:
    state = tmp_path_factory.mktemp("authorisation")
    keys = make_keys(state)
    with running(state, **LIMITS) as imd:
        yield imd, keys

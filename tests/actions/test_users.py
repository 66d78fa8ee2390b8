"""Pages 2.2 and 2.3: badge, login, directory, devices, times."""

from __future__ import annotations

import pytest
import pytest_twisted

from imd.domain.errors import (
    Forbidden,
    ForbiddenUser,
    InvalidInput,
    MissingScope,
    NoDevice,
    UserNotFound,
)
from tests.actions.household import ADMIN, SERVICE, Household, doctor, patient


@pytest_twisted.ensureDeferred
async def test_the_badge_is_the_sum_over_all_sessions(home: Household) -> None:
    await home.consult("s")
    await home.consult("t")
    for session in ("s", "s", "t"):
        await home.say("P1", session=session)
    assert (await home.badge(doctor("D1"))).badge_no == 3
    assert (await home.badge(SERVICE, user_id="P1")).badge_no == 0
    await home.read(doctor("D1"), session_id="s")
    assert (await home.badge(doctor("D1"))).badge_no == 1
    assert (await home.badge(SERVICE, user_id="nobody")).badge_no == 0
    with pytest.raises(ForbiddenUser):
        await home.badge(doctor("D1"), user_id="D2")
    with pytest.raises(InvalidInput):
        await home.badge(SERVICE)


@pytest_twisted.ensureDeferred
async def test_a_login_for_somebody_needs_admin_and_a_known_user(home: Household) -> None:
    await home.put_user(ADMIN, user_id="D1", kind="doctor")
    await home.consult("s", "M1")
    with pytest.raises(MissingScope):
        await home.login(SERVICE, user_id="D1")
    access = await home.login(ADMIN, user_id="D1")
    assert (access.user_id, access.kind, access.access_token) == ("D1", "doctor", "D1|doctor")
    assert (access.server_time, access.expires_at) == (home.clock.time, home.clock.time + 1000)
    assert (await home.login(ADMIN, user_id="D1", role="patient")).access_token == "D1|patient"
    assert (await home.login(ADMIN, user_id="M1", role="doctor")).kind is None
    with pytest.raises(InvalidInput) as caught:
        await home.login(ADMIN, user_id="M1")
    assert [e.field for e in caught.value.errors] == ["role"]
    with pytest.raises(UserNotFound):
        await home.login(ADMIN, user_id="nobody", role="doctor")
    with pytest.raises(InvalidInput):
        await home.login(ADMIN)


@pytest_twisted.ensureDeferred
async def test_a_user_renews_its_own_token_with_its_own_limits(home: Household) -> None:
    assert (await home.login(doctor("D1"))).access_token == "D1|doctor"
    assert (await home.login(doctor("D1", sid=["s", "t"]))).access_token == "D1|doctor|s,t"
    with pytest.raises(ForbiddenUser):
        await home.login(doctor("D1"), user_id="D2")
    with pytest.raises(Forbidden):
        await home.login(patient("P1"), role="doctor")


@pytest_twisted.ensureDeferred
async def test_devices_and_their_state(home: Household) -> None:
    await home.put_user(ADMIN, user_id="D1", kind="doctor")
    with pytest.raises(NoDevice):
        await home.set_status(doctor("D1"), user_id="D1", app_state="background")
    await home.login(doctor("D1"), client_id="old", platform=0, token="t")
    home.clock.time += 10
    await home.login(doctor("D1"), client_id="new", platform="1")
    home.presence.here = {"D1": ["pc_doctor", "doctor", "doctor"]}
    status = await home.set_status(doctor("D1"), user_id="D1", app_state="background")
    assert (status.online, status.clients, status.app_state) == (
        True, ["doctor", "pc_doctor"], "background",
    )  # fmt: skip
    rows = await home.ground.rows("SELECT client_id, app_state FROM devices ORDER BY 1")
    assert rows == [("new", "background"), ("old", "foreground")]
    await home.set_status(doctor("D1"), user_id="D1", app_state="background", client_id="old")
    with pytest.raises(NoDevice):
        await home.set_status(doctor("D1"), user_id="D1", app_state="background", client_id="x")
    with pytest.raises(ForbiddenUser):
        await home.set_status(doctor("D2"), user_id="D1", app_state="background")
    # A device speaks for one user at a time.
    await home.login(doctor("D2"), client_id="new")
    rows = await home.ground.rows("SELECT user_id, client_id FROM devices ORDER BY 2")
    assert rows == [("D2", "new"), ("D1", "old")]


@pytest_twisted.ensureDeferred
async def test_logout_forgets_devices_and_revokes_the_presented_token(home: Household) -> None:
    for client in ("a", "b", "c"):
        await home.login(doctor("D1"), client_id=client)
    await home.logout(doctor("D1"), client_id="a")
    rows = await home.ground.rows("SELECT client_id FROM devices ORDER BY 1")
    assert rows == [("b",), ("c",)]
    assert home.door.revoked == ["f-D1"]
    assert home.courier.told == [("revoked", "f-D1")]
    revoked = await home.ground.store.database.read(lambda tx: tx.keys.revoked_tokens(0))
    assert revoked == {"f-D1"}
    await home.logout(ADMIN, user_id="D1")
    assert await home.ground.rows("SELECT client_id FROM devices") == []
    assert home.door.revoked == ["f-D1"]  # a service key stays


@pytest_twisted.ensureDeferred
async def test_the_directory_is_kept_by_admin_keys(home: Household) -> None:
    for caller, kind in ((SERVICE, MissingScope), (doctor("D1"), Forbidden)):
        with pytest.raises(kind):
            await home.put_user(caller, user_id="D1", name="x")
    made = await home.put_user(ADMIN, user_id="D1", kind="doctor", name="张", openid="o", sex=1)
    assert made.created
    changed = await home.put_user(ADMIN, user_id="D1", name=None, title="主任")
    assert not changed.created
    assert (changed.user.kind, changed.user.name, changed.user.title, changed.user.openid) == (
        "doctor", None, "主任", "o",
    )  # fmt: skip
    with pytest.raises(InvalidInput):
        await home.put_user(ADMIN, user_id="D1", kind="nurse")


@pytest_twisted.ensureDeferred
async def test_users_see_those_who_share_a_session(home: Household) -> None:
    await home.put_user(ADMIN, user_id="P1", kind="patient", openid="o")
    await home.put_user(ADMIN, user_id="P9", kind="patient")
    await home.consult("s", "D1", "P1", "M1")
    assert (await home.user(SERVICE, user_id="P1")).openid == "o"
    for caller in (doctor("D1"), patient("P1")):
        assert (await home.user(caller, user_id="P1")).openid is None
    assert (await home.user(doctor("D1"), user_id="M1")).kind is None
    for caller, user in ((doctor("D1"), "P9"), (doctor("D1"), "nobody"), (SERVICE, "nobody")):
        for verb in ("user", "user_status", "consult_time"):
            with pytest.raises(UserNotFound):
                await getattr(home, verb)(caller, user_id=user)


@pytest_twisted.ensureDeferred
async def test_times_of_consults(home: Household) -> None:
    await home.consult("s", "D1:doctor", "P1")
    await home.consult("idle", "D1", "D2", type_=2)

    async def times(user: str = "D1") -> tuple[int | None, int | None, int | None]:
        found = await home.consult_time(SERVICE, user_id=user)
        return found.last_active_time, found.last_consult_time, found.last_reply_time

    assert await times() == (None, None, None)
    await home.say("D1", session="idle")
    assert await times() == (None, None, None)
    home.clock.time += 1000
    started = await home.start(SERVICE, session_id="s", topic_id="t", start_by="P1")
    assert (await times())[1] == started.topic.create_time
    home.clock.time += 1000
    answer = await home.say("D1")
    assert await times() == (answer.timestamp, started.topic.create_time, answer.timestamp)
    home.clock.time += 1000
    await home.read(doctor("D1"), session_id="s")
    await home.say("P1")
    home.clock.time += 1000
    await home.read(doctor("D1"), session_id="s")
    assert await times() == (home.clock.time, started.topic.create_time, answer.timestamp)

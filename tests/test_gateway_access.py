"""Who may ask: keys, their models, limits per minute and budgets, over restarts and workers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.access import Access, KeyFile
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import ServeSection

if TYPE_CHECKING:
    from pathlib import Path

NOON = 1_780_315_200.0  # 2026-06-01 12:00:00 UTC
DAY_S = 86_400.0
NEEDED = ServeSection(keys="required")


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def refused(access: Access, headers: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal, match="key") as caught:
        access.authorise(headers)
    assert caught.value.status == 401
    assert caught.value.code == "invalid_api_key"
    return caught.value


@pytest.mark.parametrize("token", ["ff-", "ff-nobody", "sk-123", "ff-\xff\x00", "a b", " "])
def test_a_key_that_nobody_has_is_refused(tmp_path: Path, token: str) -> None:
    KeyFile(tmp_path).add("alice")
    refusal = refused(Access(NEEDED, tmp_path), bearer(token))
    assert "nobody" not in refusal.message
    assert refusal.headers["www-authenticate"] == "Bearer"


def test_a_key_is_needed_in_the_header(tmp_path: Path) -> None:
    _, token = KeyFile(tmp_path).add("alice")
    access = Access(NEEDED, tmp_path)
    assert "has none" in refused(access, {}).message
    assert "has none" in refused(access, {"authorization": f"Basic {token}"}).message
    assert access.authorise({"authorization": f"bearer  {token}"}).key == "alice"


def test_without_any_key_the_refusal_says_how_to_make_one(tmp_path: Path) -> None:
    access = Access(NEEDED, tmp_path)
    assert access.is_empty
    assert "fusionfactory keys add" in refused(access, {}).message


def test_where_keys_are_off_anyone_may_do_anything(tmp_path: Path) -> None:
    access = Access(ServeSection(keys="off", host="0.0.0.0"), tmp_path)  # noqa: S104
    client = access.authorise({"authorization": "Bearer whatever"})
    assert client.key is None
    assert client.admin
    assert client.may_use("any|think")
    admission = access.admit(client, 10**9)
    assert admission.headers == {}
    admission.settle(10**9, 10**9)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("host", "needed"), [("127.0.0.1", False), ("10.0.0.1", True)])
def test_auto_wants_keys_beyond_loopback(tmp_path: Path, host: str, needed: bool) -> None:
    assert Access(ServeSection(host=host), tmp_path).needs_keys is needed


def test_a_key_names_its_client_models_and_rights(tmp_path: Path) -> None:
    _, token = KeyFile(tmp_path).add("alice", models=["small"], admin=True)
    client = Access(NEEDED, tmp_path).authorise(bearer(token))
    assert (client.key, client.admin, client.models) == ("alice", True, frozenset({"small"}))
    client.check("small")
    client.check("small|think")
    with pytest.raises(Refusal, match=r"'alice' may not use 'large'.*small") as caught:
        client.check("large")
    assert caught.value.status == 403
    assert caught.value.param == "model"


def test_an_expired_key_is_refused(tmp_path: Path, clock: Clock) -> None:
    from datetime import UTC, datetime

    _, token = KeyFile(tmp_path).add("alice", expires=datetime.fromtimestamp(NOON + 60, UTC))
    access = Access(NEEDED, tmp_path, clock=clock)
    access.authorise(bearer(token))
    clock.now += 60
    assert "expired at 2026-06-01 12:01 UTC" in refused(access, bearer(token)).message


def test_keys_are_added_and_revoked_without_a_restart(tmp_path: Path, clock: Clock) -> None:
    file = KeyFile(tmp_path)
    access = Access(NEEDED, tmp_path, clock=clock)
    _, first = file.add("alice")
    _, second = file.add("bob")
    clock.now += 1
    assert [access.authorise(bearer(token)).key for token in (first, second)] == ["alice", "bob"]
    file.revoke("alice")
    clock.now += 1
    assert "revoked" in refused(access, bearer(first)).message
    assert access.authorise(bearer(second)).key == "bob"


def test_a_clock_that_is_set_back_does_not_keep_a_revoked_key(tmp_path: Path, clock: Clock) -> None:
    _, token = KeyFile(tmp_path).add("alice")
    access = Access(NEEDED, tmp_path, clock=clock)
    access.authorise(bearer(token))
    KeyFile(tmp_path).revoke("alice")
    clock.now -= 3600
    refused(access, bearer(token))


def test_a_damaged_file_of_keys_changes_nothing_while_the_gateway_runs(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(tmp_path)
    _, token = file.add("alice")
    access = Access(NEEDED, tmp_path, clock=clock)
    good = file.path.read_bytes()
    file.path.write_bytes(good[:-10])
    for _ in range(3):
        clock.now += 1
        assert access.authorise(bearer(token)).key == "alice"
    assert len(caplog.messages) == 1
    assert str(file.path) in caplog.messages[0]
    with pytest.raises(ConfigError, match=re.escape(str(file.path))):
        Access(NEEDED, tmp_path)


def test_a_file_of_keys_that_cannot_be_read_changes_nothing_either(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    file = KeyFile(tmp_path)
    _, token = file.add("alice")
    access = Access(NEEDED, tmp_path, clock=clock)
    file.path.unlink()
    file.path.mkdir()  # as unreadable as a file of another user, to root as well
    clock.now += 1
    assert access.authorise(bearer(token)).key == "alice"
    assert re.search(r"keys\.json: cannot be read: Is a directory", caplog.text)


def test_a_file_of_keys_that_is_gone_lets_nobody_in(tmp_path: Path, clock: Clock) -> None:
    file = KeyFile(tmp_path)
    _, token = file.add("alice")
    access = Access(NEEDED, tmp_path, clock=clock)
    file.path.unlink()
    clock.now += 1
    refused(access, bearer(token))


def test_workers_are_numbered_from_zero(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 is no worker of 2"):
        Access(NEEDED, tmp_path, 2, 2)

"""The file of keys and the verbs that change it."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from command_line import run
from fusionfactory.errors import ConfigError
from fusionfactory.gateway.access import Access, KeyFile
from fusionfactory.serve_settings import ServeSection

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_key_itself_is_kept_nowhere(tmp_path: Path) -> None:
    key, token = KeyFile(tmp_path).add("alice")
    assert token.startswith("ff-")
    assert len(token) >= 46  # 256 bits
    assert key.sha256 == sha256(token.encode()).hexdigest()
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert token.encode() not in path.read_bytes()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.add("alice")
    file.revoke("alice")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    limits = {"models": ["a", "b"], "usd_per_day": 1.5, "usd_per_month": 20.0, "rpm": 3, "tpm": 4}
    ends = datetime.now(UTC) + timedelta(days=1)
    key, _ = KeyFile(tmp_path).add("alice", **limits, expires=ends, admin=True)  # type: ignore[arg-type]
    assert KeyFile(tmp_path).read() == (key,)
    assert key.models == ("a", "b")
    assert key.state(ends) == "expired"
    assert key.state(ends - timedelta(seconds=1)) == "active"


def test_every_key_has_a_number_of_its_own_for_ever(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    for name in ("a", "b"):
        file.add(name)
    file.revoke("b")
    file.add("c")
    assert [key.number for key in file.read()] == [0, 1, 2]


def test_many_at_a_time_lose_no_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: KeyFile(tmp_path).add(f"client-{n}"), range(24)))
    keys = KeyFile(tmp_path).read()
    assert sorted(key.number for key in keys) == list(range(24))


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "ä", "a\n"])
def test_a_name_must_fit_a_log(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a key"):
        KeyFile(tmp_path).add(name)


def test_a_name_is_used_once(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.add("alice")
    file.revoke("alice")
    with pytest.raises(ConfigError, match="there is or was a key 'alice'"):
        file.add("alice")


def test_revoking_twice_is_as_once(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.add("alice")
    assert file.revoke("alice") == file.revoke("alice")
    with pytest.raises(ConfigError, match="there is no key 'bob'; known: alice"):
        file.revoke("bob")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda keys: keys[0].update(rpm=0), r"keys\.0\.rpm.*greater than or equal to 1"),
        (lambda keys: keys[0].update(sha256="secret"), r"keys\.0\.sha256.*pattern"),
        (lambda keys: keys[0].update(budget=3), r"keys\.0\.budget.*not permitted"),
        (lambda keys: keys.append(keys[0]), "'alice' stands twice"),
    ],
)
def test_a_malformed_file_is_named_with_the_field(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], says: str
) -> None:
    file = KeyFile(tmp_path)
    file.add("alice")
    content = json.loads(file.path.read_text())
    change(content["keys"])
    file.path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=rf"keys\.json.*{says}") as caught:
        file.read()
    assert "secret" not in str(caught.value)


SETTINGS = """
[[endpoints]]
name = "there"
base_url = "http://127.0.0.1:1"

[[models]]
name = "priced"
endpoint = "there"
input_price = 1.0
output_price = 2.0

[[models]]
name = "a-model-of-no-list"
endpoint = "there"

[serve]
state = "state"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fusionfactory.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_is_added_shown_once_and_revoked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "add", "alice", "--model", "priced", "--usd-per-day", "1", "--rpm", "9",
               "--days", "7", "--json") == 0  # fmt: skip
    made = json.loads(capsys.readouterr().out)
    access = Access(ServeSection(keys="required"), here / "state")
    client = access.authorise({"authorization": f"Bearer {made['key']}"})
    assert (client.key, client.models, client.rpm) == ("alice", frozenset({"priced"}), 9)
    access.admit(client, 10).settle(10, 0.25)

    assert run("keys", "list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["state"], row["spent_today_usd"]) == ("alice", "active", 0.25)
    assert "sha256" not in row
    assert run("keys", "list") == 0
    table = capsys.readouterr().out
    assert "alice" in table
    assert made["key"] not in table

    assert run("keys", "revoke", "alice") == 0
    assert run("keys", "list", "--json") == 0
    assert '"state": "revoked"' in capsys.readouterr().out


def test_a_key_is_printed_whole(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "add", "alice", "--state", str(here / "other")) == 0
    token = capsys.readouterr().out.splitlines()[-1]
    assert KeyFile(here / "other").read()[0].sha256 == sha256(token.encode()).hexdigest()


def test_a_budget_needs_known_prices(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "add", "alice", "--usd-per-day", "1") == 2
    assert "'a-model-of-no-list' is unknown" in capsys.readouterr().err
    assert run("keys", "add", "alice", "--model", "nothing") == 2
    assert "no model 'nothing'" in capsys.readouterr().err
    assert not (here / "state").exists()


def test_no_keys_are_said_to_be_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "list") == 0
    assert "there is no key" in capsys.readouterr().out
    assert run("keys", "revoke", "alice") == 2
    assert "known: none" in capsys.readouterr().err
    assert not (here / "state" / "keys.json").exists()

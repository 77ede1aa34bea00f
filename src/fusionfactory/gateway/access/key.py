"""A client's key: what it may do, and its hash; the key itself is nowhere."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, TypedDict

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

__all__ = ["PREFIX", "Key", "Limits", "check_name", "new_key"]

PREFIX = "ff-"
_BYTES = 32
_SHOWN = len(PREFIX) + 4
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class Key(BaseModel):
    """What is kept of a client's key.

    A plain SHA-256 is enough at rest: a key is 256 random bits, which nobody can guess.

    Attributes:
        name: In logs and reports; a name is never used again, so that a log stays true.
        sha256: Of the key.
        start: Its first characters, to tell keys apart.
        number: Of its counters in shared memory; never used again.
        created: When.
        expires: From when it is no longer good; None for never.
        revoked: When it was taken back; None for not.
        admin: Whether it may see every client's decisions, and promote routers.
        models: Models it may use, under any of their strategies; None for all.
        usd_per_day: Budget per day, in UTC; None for no limit.
        usd_per_month: Budget per calendar month, in UTC.
        rpm: Requests per minute.
        tpm: Tokens per minute.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=f"^{_NAME}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    start: str = ""
    number: int = Field(ge=0)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    admin: bool = False
    models: tuple[str, ...] | None = None
    usd_per_day: float | None = Field(default=None, gt=0)
    usd_per_month: float | None = Field(default=None, gt=0)
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)

    def state(self, at: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= at else "active"

    def taken_back(self) -> Key:
        """The same key, revoked now unless it was before."""
        if self.revoked is not None:
            return self
        return self.model_copy(update={"revoked": datetime.now(UTC)})


class Limits(TypedDict, total=False):
    """What a new key may do, by the attributes of `Key`."""

    models: Sequence[str] | None
    usd_per_day: float | None
    usd_per_month: float | None
    rpm: int | None
    tpm: int | None
    expires: datetime | None
    admin: bool


def check_name(name: str) -> None:
    """Refuses what is no name.

    Raises:
        ConfigError: It is malformed.
    """
    if not re.fullmatch(_NAME, name):
        msg = (
            f"{name!r} is no name of a key: up to 64 letters, digits, '.', '_' and '-', the "
            "first a letter or digit"
        )
        raise ConfigError(msg, field="name")


def new_key(name: str, number: int, **limits: Unpack[Limits]) -> tuple[Key, str]:
    """Makes a key.

    Returns:
        What is kept of it, and the key itself, which cannot be had again.
    """
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    models = limits.get("models")
    made = Key.model_validate(
        {
            **limits,
            "name": name,
            "sha256": sha256(token.encode()).hexdigest(),
            "start": token[:_SHOWN],
            "number": number,
            "created": datetime.now(UTC),
            "models": None if models is None else tuple(models),
        }
    )
    return made, token

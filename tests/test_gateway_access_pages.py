"""Pages of other sites and a gateway that wants no key."""

from __future__ import annotations

import pytest

from fusionfactory.gateway.access.pages import check_page
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import ServeSection

HERE = {"host": "127.0.0.1:8377"}


@pytest.mark.parametrize(
    "headers",
    [
        HERE,
        {"host": "localhost:8377"},
        {"host": "[::1]:8377"},
        {**HERE, "origin": "http://127.0.0.1:8377", "sec-fetch-site": "same-origin"},
        {**HERE, "origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    ],
)
def test_programs_and_own_pages_are_let_in(headers: dict[str, str]) -> None:
    check_page(headers, ServeSection())


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8377"},
        {"host": ""},
        {"host": "[nothing"},
        {**HERE, "origin": "https://evil.example"},
        {**HERE, "origin": "null"},
        {**HERE, "origin": "http://[nothing"},
        {**HERE, "sec-fetch-site": "cross-site"},
    ],
)
def test_other_sites_are_not(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal, match="without client keys") as refused:
        check_page(headers, ServeSection())
    assert refused.value.status == 403


def test_a_key_tells_who_asks() -> None:
    check_page({"host": "evil.example", "origin": "https://evil.example"},
               ServeSection(keys="required"))  # fmt: skip


def test_off_loopback_without_keys_any_name_is_good_but_no_other_site() -> None:
    settings = ServeSection(host="0.0.0.0", keys="off")  # noqa: S104
    check_page({"host": "gateway.example"}, settings)
    with pytest.raises(Refusal, match=r"of 'https://evil\.example'"):
        check_page({"host": "gateway.example", "origin": "https://evil.example"}, settings)

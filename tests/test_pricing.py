from __future__ import annotations

import pytest

from fusionfactory.pricing import CallPrice


def test_given_prices_count_before_the_list() -> None:
    price = CallPrice("gpt-4o-mini", input_price=10.0, output_price=20.0)
    assert price.per_million() == (10.0, 20.0)
    assert price.usd(1000, 100) == pytest.approx(0.012)


def test_the_list_knows_public_models() -> None:
    price = CallPrice("gpt-4o-mini", "openai")
    assert price.known
    assert price.per_million() == pytest.approx((0.15, 0.60))
    assert price.usd(1000, 100) == pytest.approx(0.00021)


def test_the_price_of_a_model_is_that_of_usual_prompts() -> None:
    price = CallPrice("gemini-2.5-pro", "google")
    short, long = price.usd(1_000, 0), price.usd(1_000_000, 0)
    assert short is not None
    assert long is not None
    assert price.per_million()[0] == pytest.approx(short * 1_000)
    assert long > short * 1_000


def test_one_given_price_overrides_that_one_alone() -> None:
    price = CallPrice("gpt-4o-mini", "openai", output_price=6.0)
    assert price.per_million() == pytest.approx((0.15, 6.0))
    assert price.usd(1000, 100) == pytest.approx(0.00075)


def test_cached_tokens_are_charged_as_such_by_the_list() -> None:
    price = CallPrice("gpt-4o-mini", "openai")
    cached = price.usd(1000, 100, {"prompt_tokens_details": {"cached_tokens": 1000}})
    plain = price.usd(1000, 100, {"prompt_tokens_details": None})
    assert cached is not None
    assert plain == pytest.approx(0.00021)
    assert cached < 0.00021


@pytest.mark.parametrize("price", [CallPrice("nobody/heard-of-it-1"), CallPrice(None),
                                   CallPrice("nobody/heard-of-it-1", input_price=1.0)])  # fmt: skip
def test_an_unknown_price_is_no_cost_of_zero(price: CallPrice) -> None:
    assert not price.known
    assert price.usd(1000, 100) is None


def test_no_count_no_cost() -> None:
    price = CallPrice("m", input_price=1.0, output_price=1.0)
    assert price.usd(None, 5) is None
    assert price.usd(5, None) is None
    assert price.usd(0, 0) == 0.0

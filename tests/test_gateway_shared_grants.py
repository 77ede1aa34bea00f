"""Grants of a budget: whatever happens in whatever order, all are never more than the budget."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fusionfactory.errors import StoreError
from fusionfactory.gateway.access.elsewhere import Elsewhere, Grant
from fusionfactory.gateway.access.grants import Grants, Wish, granted_usd
from fusionfactory.gateway.access.meter import Spending
from fusionfactory.gateway.operations.presence import Presence
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer

BUDGET = 6.0
REQUEST_USD = 0.5
TODAY = 20_000.0
NUMBERS = itertools.count()
GATEWAYS = st.integers(0, 2)
USD = st.floats(0.0, 1e6, allow_subnormal=False)


class LostError(Exception):
    """Before the end of a transaction."""


class Gateway:
    """One that may spend: what its workers know, and how it takes more."""

    def __init__(self, store: Store, name: str, key: int) -> None:
        self.grants, self.wish = Grants(store, name), Wish(key, "day", TODAY, BUDGET)
        self.known = Elsewhere(np.zeros((21, 1)))
        self.under_way: list[float] = []
        self.spent, self.over = 0.0, 0.0
        self.lives = True

    @property
    def spending(self) -> Spending:
        return Spending(self.spent, self.spent, REQUEST_USD, len(self.under_way))

    @property
    def has_room(self) -> bool:
        grant = self.known.grant("day")
        return grant.at == TODAY and grant.has_room(self.spending)

    def settle(self) -> None:
        usd = self.under_way.pop(0)
        self.spent += usd
        # What a request that was dearer than the average has cost beyond the grant.
        beyond = self.spending.used_usd - self.known.grant("day").usd
        self.over += max(0.0, min(usd - REQUEST_USD, beyond))

    def die(self) -> None:
        """What was under way is charged in the next life."""
        self.lives = False
        self.spent += len(self.under_way) * REQUEST_USD
        self.under_way.clear()

    def lower(self, wish: Wish, usd: float) -> None:
        self.known.lower(wish.period, wish.at, usd)

    def lose(self, wish: Wish, usd: float) -> None:
        self.lower(wish, usd)
        msg = "the connection is lost"
        raise LostError(msg)

    def take(self, *, is_urgent: bool = False) -> None:
        wish = replace(self.wish, is_urgent=is_urgent)
        (grant,) = self.grants.take([wish], lambda _: self.spending, self.lower)
        self.known.give("day", grant)


class Sharing(RuleBasedStateMachine):
    """Three gateways spend one budget; requests cost something once they have ended."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        key = next(NUMBERS)
        self.all = [Gateway(store, f"gateway-{n}", key) for n in range(3)]

    @rule(which=GATEWAYS, costs=st.lists(st.floats(0.0, 4.0), min_size=1, max_size=8))
    def ask(self, which: int, costs: list[float]) -> None:
        gateway = self.all[which]
        for usd in costs:
            if gateway.lives and gateway.has_room:
                gateway.under_way.append(usd)

    @rule(which=GATEWAYS, count=st.integers(1, 8))
    def end_requests(self, which: int, count: int) -> None:
        gateway = self.all[which]
        for _ in range(min(count, len(gateway.under_way))):
            gateway.settle()

    @rule(which=GATEWAYS, is_urgent=st.booleans())
    def take(self, which: int, *, is_urgent: bool) -> None:
        if self.all[which].lives:
            self.all[which].take(is_urgent=is_urgent)

    @rule(which=GATEWAYS)
    def lose_the_connection_before_the_end(self, which: int) -> None:
        gateway = self.all[which]
        if gateway.lives:
            with pytest.raises(LostError, match="is lost"):
                gateway.grants.take([gateway.wish], lambda _: gateway.spending, gateway.lose)

    @rule(which=GATEWAYS)
    def never_hear_that_it_was_written(self, which: int) -> None:
        gateway = self.all[which]
        if gateway.lives:
            gateway.grants.take([gateway.wish], lambda _: gateway.spending, gateway.lower)

    @rule(which=GATEWAYS)
    def leave(self, which: int) -> None:
        gateway = self.all[which]
        if gateway.lives and not gateway.under_way:
            gateway.lower(gateway.wish, 0.0)
            gateway.grants.give_back([gateway.wish], lambda _: gateway.spending)

    @rule(which=GATEWAYS)
    def die(self, which: int) -> None:
        self.all[which].die()

    @precondition(lambda self: any(not gateway.lives for gateway in self.all))
    @rule(which=GATEWAYS)
    def begin_again(self, which: int) -> None:
        self.all[which].lives = True

    @invariant()
    def may_spend_the_budget_and_one_request_at_most_but_for_dear_ones(self) -> None:
        may = [max(it.known.grant("day").usd, it.spending.used_usd) for it in self.all]
        most = BUDGET + REQUEST_USD + sum(gateway.over for gateway in self.all)
        assert sum(may) <= most + 1e-9

    def teardown(self) -> None:
        """Once all are well again, whoever asks gets what is left, if anything is."""
        for gateway in self.all:
            gateway.lives = True
            while gateway.under_way:
                gateway.settle()
        for gateway in self.all * 2:
            gateway.take(is_urgent=True)
        left = BUDGET - sum(gateway.spent for gateway in self.all)
        if abs(left) > 1e-9:
            assert any(gateway.has_room for gateway in self.all) == (left > 0)


@pytest.fixture(scope="module")
def store(postgres: PostgresServer) -> Iterator[Store]:
    with Store(postgres.database()) as opened:
        for number in range(3):
            Presence(opened, f"gateway-{number}", "127.0.0.1:8000").tell()
        yield opened


@pytest.mark.parametrize("parts", [4, 1 / 3])
def test_no_order_of_events_gives_out_more_than_the_budget(
    store: Store, monkeypatch: pytest.MonkeyPatch, parts: float
) -> None:
    """A third of a part for each of three takes all that is left: the hardest case."""
    monkeypatch.setattr("fusionfactory.gateway.access.grants._PARTS", parts)

    class OfThisStore(Sharing):
        def __init__(self) -> None:
            super().__init__(store)

    run_state_machine_as_test(
        OfThisStore,
        settings=settings(
            max_examples=20,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_who_falls_silent_in_the_middle_does_not_hold_up_the_others(store: Store) -> None:
    key = next(NUMBERS)
    silent, other = (Gateway(store, f"gateway-{n}", key) for n in range(2))

    def wait_for_the_other(_: Wish, __: float) -> None:
        other.take()

    with pytest.raises(StoreError, match="idle-in-transaction"):
        silent.grants.take([silent.wish], lambda _: silent.spending, wait_for_the_other)
    assert other.has_room
    assert not silent.has_room
    silent.take(is_urgent=True)
    assert silent.has_room


@given(USD, USD, USD, st.integers(1, 100))
def test_a_grant_fits_into_what_is_left(
    budget: float, spent: float, held: float, sharers: int
) -> None:
    grant = granted_usd(budget, spent, held, sharers)
    assert grant >= spent
    assert grant == spent or grant + held <= budget * (1 + 1e-9)
    if held + spent < budget * (1 - 1e-6):
        assert grant > spent


@given(USD, USD, USD, USD, st.integers(1, 100))
def test_a_request_that_waits_gets_enough_where_anything_is_left(
    budget: float, spent: float, held: float, least: float, sharers: int
) -> None:
    grant = granted_usd(budget, spent, held, sharers, least)
    if budget - spent - held > 0:
        assert grant >= spent + least
        assert grant + held <= max(budget, spent + held + least) * (1 + 1e-9)
    else:
        assert grant == spent


@pytest.mark.parametrize("sharers", [1, 3, 10, 50])
def test_all_together_hold_a_quarter_of_what_is_left_at_most(sharers: int) -> None:
    held = [0.0] * sharers
    for turn in range(20 * sharers):
        held[turn % sharers] = 0.0
        held[turn % sharers] = granted_usd(BUDGET, 0.0, sum(held), sharers)
    assert 0.15 * BUDGET < sum(held) <= 0.25 * BUDGET + 1e-9
    assert max(held) < 1.1 * min(held)


@pytest.mark.parametrize(
    ("granted", "spent", "request_usd", "under_way", "fits"),
    [
        (1.0, 0.9, 0.0, 5, True),
        (1.0, 1.0, 0.0, 0, False),
        (1.0, 0.9, 0.2, 0, False),
        (0.3, 0.1, 0.1, 1, True),  # by rounding, a hair is missing
        (0.3, 0.1, 0.1, 2, False),
    ],
)
def test_a_request_fits_into_a_grant_with_what_it_is_to_cost(
    granted: float, spent: float, request_usd: float, under_way: int, *, fits: bool
) -> None:
    spending = Spending(9.0, spent, request_usd, under_way)
    assert Grant(TODAY, granted, 1.0).has_room(spending) is fits


def test_a_grant_of_yesterday_is_none_of_today() -> None:
    known = Elsewhere(np.zeros((21, 1)))
    known.give("day", Grant(TODAY, 5.0, 9.0))
    known.lower("day", TODAY, 7.0)
    assert known.grant("day") == Grant(TODAY, 5.0, 9.0)
    known.lower("day", TODAY, 3.0)
    assert known.grant("day") == Grant(TODAY, 3.0, 9.0)
    known.lower("day", TODAY + 1, 7.0)
    assert known.grant("day") == Grant(TODAY + 1, 0.0, 0.0)
    assert known.grant("month") == Grant(0.0, 0.0, 0.0)

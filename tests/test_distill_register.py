"""Students in the settings, on command lines, and in fitted routers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.config import ModelSettings, read_config
from fusionfactory.distill.register import describe_student, register, student_settings
from fusionfactory.distill.router_arm import join_router, labelled
from fusionfactory.distill.serving import serve_commands
from fusionfactory.distill.settings_block import model_block
from fusionfactory.distill.training.record import BaseRecord, DataRecord, Files, StudentRecord
from fusionfactory.distill.untrained import write_untrained
from fusionfactory.errors import ConfigError, DistillError, InputError, UnsupportedError
from fusionfactory.routers import make_router
from fusionfactory.settings_template import TEMPLATE
from fusionfactory.testing import make_table
from fusionfactory.types import Arm
from tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

SETTINGS = """\
# Ours; keep this line.
[[endpoints]]
name = "here"
base_url = "http://127.0.0.1:8000/v1"

[[models]]
name = "small"   # the base
gguf = "models/small.gguf"
strategies = ["direct", "think"]
input_price = 0.01
output_price = 0.02
params = { temperature = 0.0, max_tokens = 256 }
strategy_params = { think = { max_tokens = 512 } }
context_tokens = 2048

[collect]
samples = 2"""


def write_student(folder: Path, base: str = "models/small.gguf", rank: int = 16) -> Path:
    gguf = base.endswith(".gguf")
    StudentRecord(
        version="0",
        base=BaseRecord(path=base, name="small", sha256=None, parameters=1000),
        data=DataRecord(
            fingerprint="f", criterion="best", examples=100, validation=5, too_long=0,
            sources={"a": 5, "large": 60, "label": 20, "b": 10, "c": 5}, tasks={"sums": 100},
        ),
        method="sft", settings={}, steps=1, epochs=1.0, tokens=1, trainable=1, losses=[],
        validation=[], seconds=1.0, device="cpu", dtype="float32", packages={},
        files=Files(
            adapter="adapter", gguf="student.gguf" if gguf else None,
            merged=None if gguf else "merged",
        ),
    ).save(folder)  # fmt: skip
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fusionfactory.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def split_table(missing: float = 0.0) -> OutcomeTable:
    """120 queries of three arms: a third each is train, validation and test."""
    table = make_table(120, missing=missing)
    splits = np.resize(["train", "validation", "test"], len(table))
    table.queries.replace_column(
        table.queries.get_column_index("split"), pl.Series("split", splits)
    )
    return table


def test_a_student_is_asked_as_its_base_is(folder: Path) -> None:
    student = write_student(folder / "students" / "best").relative_to(folder)
    path = folder / "fusionfactory.toml"
    register(student_settings(student, "small-best", read_config()), path)
    assert path.read_text(encoding="utf-8").startswith(SETTINGS)
    base, made = read_config().models
    assert (made.name, made.gguf) == ("small-best", student / "student.gguf")
    same = {"strategies", "input_price", "output_price", "params", "strategy_params"}
    same.add("context_tokens")
    assert made.model_dump(include=same) == base.model_dump(include=same)
    assert made.description == (
        "small fine-tuned on 100 answers chosen by best: 60 of large, 20 of label, 10 of b, "
        "10 of others"
    )


def test_the_base_as_it_was_is_one_more_model(folder: Path) -> None:
    student = write_student(folder / "best").relative_to(folder)
    made = student_settings(student, "small-f16", read_config(), untrained=True)
    assert made.gguf == student / "base.gguf"
    assert made.params == read_config().models[0].params
    assert made.description == "small before any training, stored as its students are"
    (command,) = serve_commands(student, "small-f16", untrained=True)
    assert command.words[:3] == ("llama-server", "-m", str(student / "base.gguf"))


def test_a_base_that_is_not_there_any_more_is_not_written(folder: Path) -> None:
    pytest.importorskip("gguf")
    student = write_student(folder / "best")
    write_tiny_gguf(student / "student.gguf")
    with pytest.raises(DistillError, match="not there any more, or is another file now"):
        write_untrained(student)
    served = write_student(folder / "served", base="org/model")
    with pytest.raises(DistillError, match="no GGUF file, so its base is the model"):
        write_untrained(served)


def test_what_is_told_counts_before_the_base(folder: Path) -> None:
    student = write_student(folder / "best")
    made = student_settings(
        student, "s", read_config(), endpoint="here", strategies=["think"], input_price=0.0,
        description="Good at sums.",
    )  # fmt: skip
    assert (made.endpoint, made.gguf) == ("here", None)
    assert (made.strategies, made.input_price, made.output_price) == (("think",), 0.0, 0.02)
    assert made.description == "Good at sums."


def test_a_base_that_is_not_in_the_settings_gives_nothing(folder: Path) -> None:
    student = write_student(folder / "best", base="elsewhere/other.gguf")
    made = student_settings(student, "s", read_config())
    assert (made.strategies, made.params, made.input_price) == (("direct",), {}, None)
    assert student_settings(student, "s", read_config(), like="small").params["max_tokens"] == 256


@pytest.mark.parametrize("before", [SETTINGS, SETTINGS + "\n", "", TEMPLATE, "# c\r\n\r\n"])
def test_every_byte_of_the_settings_stays(tmp_path: Path, before: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(before.encode())
    path.chmod(0o640)
    strange = ModelSettings(
        name='a "quoted" näme\x7f\\', gguf=tmp_path / "m.gguf", params={"a b": [1, 2.5, True, "x"]},
        strategy_params={"thought:3": {}}, description="two\nlines\t",
    )  # fmt: skip
    register(strange, path)
    after = path.read_bytes()
    assert after.startswith(before.encode())
    assert read_config(path).models[-1] == strange
    assert path.stat().st_mode & 0o777 == 0o640
    assert b"\r\n" not in before.encode() or b"\n" not in after.replace(b"\r\n", b"")


def test_a_block_leaves_out_what_is_usual() -> None:
    block = model_block(ModelSettings(name="s", endpoint="here", strategies=("direct",)))
    assert block == '[[models]]\nname = "s"\nendpoint = "here"\n'


def test_settings_that_no_block_can_follow_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    before = 'models = [{ name = "m", gguf = "m.gguf" }]\n'
    path.write_text(before)
    made = ModelSettings(name="s", gguf=tmp_path / "s.gguf")
    with pytest.raises(ConfigError, match=r"settings\.toml: no block \[\[models\]\] can follow"):
        register(made, path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file: make it by"):
        register(made, tmp_path / "absent.toml")


def test_what_cannot_be_registered_is_said(folder: Path) -> None:
    student = write_student(folder / "best")
    config = read_config()
    with pytest.raises(ConfigError, match=r"have a model 'small' already.* another name"):
        student_settings(student, "small", config)
    with pytest.raises(InputError, match=r"'a\|b' is no model name"):
        student_settings(student, "a|b", config)
    with pytest.raises(ConfigError, match="no endpoint 'there' in the settings; known: here"):
        student_settings(student, "s", config, endpoint="there")
    with pytest.raises(ConfigError, match="no model 'big' in the settings; known: small"):
        student_settings(student, "s", config, like="big")
    with pytest.raises(ConfigError, match="the model 's' has the strategy 'think' twice"):
        student_settings(student, "s", config, strategies=["think", "think"])
    with pytest.raises(ConfigError, match="field 'input_price': Input should be greater"):
        student_settings(student, "s", config, input_price=float("nan"))
    with pytest.raises(DistillError, match=r"no such file: this is no finished student"):
        student_settings(folder, "s", config)
    served = write_student(folder / "served", base="org/model")
    with pytest.raises(DistillError, match="no GGUF file to run here: serve it"):
        student_settings(served, "s", config)


def test_pairs_are_called_preferences(folder: Path) -> None:
    record = StudentRecord.load(write_student(folder / "best"))
    taught = record.model_copy(update={"method": "dpo"})
    assert describe_student(taught).startswith("small fine-tuned on 100 preferences chosen by best")


def test_the_control_is_told_from_students_of_answers(folder: Path) -> None:
    record = StudentRecord.load(write_student(folder / "label"))
    data = record.data.model_copy(update={"examples": 95, "sources": {"label": 100}})
    control = record.model_copy(update={"data": data})
    assert describe_student(control) == "small fine-tuned on 100 labels alone"


def test_a_gguf_student_is_served_by_llama_cpp(tmp_path: Path) -> None:
    student = write_student(tmp_path / "my best")
    (one,) = serve_commands(student, "s", port=8123)
    assert one.line == (
        f"llama-server -m '{student}/student.gguf' --alias s --host 127.0.0.1 --port 8123"
    )
    assert one.base_url == "http://127.0.0.1:8123/v1"


def test_others_are_served_by_vllm_merged_or_as_adapter(tmp_path: Path) -> None:
    student = write_student(tmp_path / "s", base="org/model", rank=20)
    lines = [one.line for one in serve_commands(student, "s")]
    at = "--host 127.0.0.1 --port 8000"
    assert lines == [
        f"vllm serve {student}/merged --served-model-name s {at}",
        f"vllm serve org/model --enable-lora --lora-modules s={student}/adapter "
        f"--max-lora-rank 32 {at}",
    ]
    (student / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(DistillError, match=r"adapter_config\.json: cannot be read as an adapter"):
        serve_commands(student, "s")


def test_labels_are_drawn_by_digest_and_never_from_test() -> None:
    table = split_table()
    few, more = labelled(table, "arm-2", 10), labelled(table, "arm-2", 30)
    assert set(few.queries["query_id"]) < set(more.queries["query_id"])
    assert set(labelled(table, "arm-2", 80).queries["split"]) == {"train", "validation"}
    other = labelled(table, "arm-2", 10, seed=1)
    assert set(other.queries["query_id"]) != set(few.queries["query_id"])
    shuffled = table.rows(np.random.default_rng(0).permutation(len(table)))
    again = labelled(shuffled, "arm-2", 10)
    assert set(again.queries["query_id"]) == set(few.queries["query_id"])
    with pytest.raises(DistillError, match=r"'arm-2' has 80 scored answers .*, 81 were asked for"):
        labelled(table, "arm-2", 81)
    with pytest.raises(DistillError, match="no answers of 'new' to learn from"):
        labelled(table, "new", 5)


def test_labels_are_of_questions_that_the_student_did_not_learn() -> None:
    table = split_table()
    learnt = labelled(table, "arm-2", 60).queries["query_id"].to_list()
    fresh = labelled(table, "arm-2", 20, learnt=learnt).queries["query_id"].to_list()
    assert not set(fresh) & set(learnt)
    with pytest.raises(DistillError, match=r"has 20 scored answers .* did not learn, 21 were"):
        labelled(table, "arm-2", 21, learnt=learnt)


def test_unscored_answers_are_no_labels() -> None:
    table = split_table()
    table.quality[:100, 2] = np.nan
    drawn = labelled(table, "arm-2", 5)
    assert not np.isnan(drawn.quality).any()


def test_knn_takes_a_student_from_few_labels() -> None:
    table = split_table()
    router = make_router("knn").fit(table.select_arms(["arm-0", "arm-1"]))
    (joined,) = join_router(router, [table.arms[2]], table, labels=40)
    assert [arm.name for arm in router.arms_] == ["arm-0", "arm-1", "arm-2"]
    assert len(joined.labels) == 40
    drawn = table.queries["query_id"].is_in(list(joined.labels)).to_numpy()
    assert joined.quality == pytest.approx(table.quality[drawn, 2].mean())
    quality = router.estimate(table.texts).quality[:, 2]
    assert quality[table.tasks == "facts"].mean() > quality[table.tasks == "sums"].mean()


@pytest.mark.torch
def test_a_graph_takes_a_student_with_labels_or_by_description() -> None:
    pytest.importorskip("torch")
    table = split_table()
    small = "graph:hidden=8,members=1,max_epochs=5,device=cpu"
    router = make_router(small).fit(table.select_arms(["arm-0", "arm-1"]))
    join_router(router, [table.arms[2]], table, labels=30)
    (joined,) = join_router(router, [Arm("new", description="good at sums")], None, labels=0)
    assert (joined.labels, joined.quality) == ((), None)
    assert router.estimate(["add two numbers"]).arms == ("arm-0", "arm-1", "arm-2", "new")


def test_a_router_that_cannot_says_which_can() -> None:
    table = split_table()
    router = make_router("ridge").fit(table.select_arms(["arm-0", "arm-1"]))
    with pytest.raises(UnsupportedError, match=r"cannot add 'arm-2' .*; knn and graph can"):
        join_router(router, [table.arms[2]], table, labels=10)

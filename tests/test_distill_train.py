"""Training: tokens, order, checkpoints, and a student at the end, on a tiny model."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.distill.selection import Example, Message, Selection
from fusionfactory.distill.training import Progress, StudentRecord, TrainSettings, train
from fusionfactory.distill.training.checkpoints import Run
from fusionfactory.distill.training.device import quiet
from fusionfactory.distill.training.forecast import forecast
from fusionfactory.distill.training.progress import Watch
from fusionfactory.distill.training.schedule import plan_steps
from fusionfactory.distill.training.sequences import Item, Template, prepare
from fusionfactory.errors import DistillError
from fusionfactory.tasks.sampling import rank
from tiny_model import make_selection, make_tiny_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")
pytestmark = pytest.mark.torch

QUICK = TrainSettings(
    epochs=2, batch_size=8, learning_rate=2e-2, rank=4, alpha=8, logging_steps=1, save_steps=3,
    device="cpu", dtype="float32", threads=1,
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tokenizer(tiny: Path) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)


def weights(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors.numpy import load_file

    return dict(load_file(folder / "adapter" / "adapter_model.safetensors"))


def items(lengths: list[int]) -> tuple[Item, ...]:
    return tuple(Item(f"q{n}", [1] * (size - 1), ([2],)) for n, size in enumerate(lengths))


# Tokens


def test_the_answer_and_its_end_carry_the_loss_and_nothing_else(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    from fusionfactory.distill.training.trainers import IGNORED, _rows

    data = prepare(make_selection(4), Template(tokenizer, "tiny"), replace(QUICK, holdout=0))
    for row, example in zip(_rows(data.train), make_selection(4).examples, strict=True):
        told = [label for label in row["labels"] if label != IGNORED]
        assert tokenizer.decode(told) == example.response + "<|end|>"
        rest = row["input_ids"][: -len(told)]
        assert tokenizer.decode(rest).endswith("<|end|>\n<|start|>assistant\n")
        assert row["labels"][: len(rest)] == [IGNORED] * len(rest)


def test_tokens_are_those_of_trl_up_to_what_the_template_writes_after_the_end(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    selection = make_selection(6)
    ours = prepare(selection, Template(tokenizer, "tiny"), replace(QUICK, holdout=0))
    rows = [
        {
            "prompt": [m.model_dump() for m in example.prompt],
            "completion": [{"role": "assistant", "content": example.response}],
        }
        for example in selection.examples
    ]
    with quiet():
        config = SFTConfig(use_cpu=True, bf16=False, max_length=None, report_to="none")
        model = AutoModelForCausalLM.from_pretrained(tokenizer.name_or_path)
        theirs = SFTTrainer(
            model=model, args=config, train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        ).train_dataset  # fmt: skip
    for item, row in zip(ours.train, theirs, strict=True):
        whole = [*item.prompt, *item.answers[0]]
        assert row["input_ids"][: len(whole)] == whole
        assert tokenizer.decode(row["input_ids"][len(whole) :]) == "\n"
        assert row["labels"][: len(item.prompt)] == [-100] * len(item.prompt)
        assert row["labels"][len(item.prompt) : len(whole)] == item.answers[0]


def test_an_answer_ends_where_the_server_stops(gguf: Path) -> None:
    from fusionfactory.distill.models.header import read_header
    from fusionfactory.distill.models.tokenizer import rebuild_tokenizer

    template = Template(rebuild_tokenizer(read_header(gguf)), str(gguf))
    item = prepare(make_selection(4), template, QUICK).train[2]
    assert template.tokenizer.decode(item.prompt).endswith(
        "<|im_start|>user\n2 + 3 please please<|im_end|>\n<|im_start|>assistant\n"
    )
    assert template.tokenizer.decode(item.answers[0]) == "It is 5.<|im_end|>"
    assert item.answers[0][-1] == template.tokenizer.eos_token_id


def test_a_system_message_and_earlier_turns_are_part_of_the_prompt(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    prompt = (
        Message(role="system", content="Be brief."),
        Message(role="user", content="one"),
        Message(role="assistant", content="1"),
        Message(role="user", content="two"),
    )
    selection = Selection(
        (Example(query_id="q", prompt=prompt, response="2", arm="a"),), (), {}, {}
    )
    data = prepare(selection, Template(tokenizer, "tiny"), QUICK)
    assert tokenizer.decode(data.train[0].prompt) == (
        "<|start|>system\nBe brief.<|end|>\n<|start|>user\none<|end|>\n"
        "<|start|>assistant\n1<|end|>\n<|start|>user\ntwo<|end|>\n<|start|>assistant\n"
    )


def test_what_is_too_long_is_left_out_and_named(tokenizer: PreTrainedTokenizerFast) -> None:
    selection = make_selection(12)
    longest = max(
        prepare(selection, Template(tokenizer, "tiny"), replace(QUICK, holdout=0)).train,
        key=lambda item: item.length,
    )
    settings = replace(QUICK, holdout=0, max_length=longest.length - 1)
    data = prepare(selection, Template(tokenizer, "tiny"), settings)
    assert longest.query_id in data.too_long
    assert len(data.train) + len(data.too_long) == 12
    with pytest.raises(DistillError, match="longer than 3 tokens"):
        prepare(selection, Template(tokenizer, "tiny"), replace(QUICK, max_length=3))


def test_queries_are_held_out_with_all_their_examples(tokenizer: PreTrainedTokenizerFast) -> None:
    twice = make_selection(30).examples
    selection = Selection(twice + twice, (), {}, {})
    data = prepare(selection, Template(tokenizer, "tiny"), replace(QUICK, holdout=0.1))
    held = {item.query_id for item in data.validation}
    assert len(held) == 3
    assert len(data.validation) == 6
    assert held.isdisjoint(item.query_id for item in data.train)


def test_some_queries_are_left_to_train_on(tokenizer: PreTrainedTokenizerFast) -> None:
    data = prepare(make_selection(12), Template(tokenizer, "t"), replace(QUICK, holdout=0.99))
    assert (len(data.train), len(data.validation)) == (1, 11)


def test_a_model_without_a_chat_template_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    from copy import copy

    plain = copy(tokenizer)
    plain.chat_template = None
    with pytest.raises(DistillError, match="no chat template"):
        Template(plain, "tiny")


def test_a_selection_without_pairs_cannot_be_preferred(tokenizer: PreTrainedTokenizerFast) -> None:
    selection = Selection(make_selection(4).examples, (), {}, {})
    with pytest.raises(DistillError, match="holds no pairs"):
        prepare(selection, Template(tokenizer, "tiny"), replace(QUICK, method="dpo"))


# Order


def test_every_example_is_seen_as_often_as_there_are_epochs() -> None:
    parts = items([5 + n % 7 for n in range(37)])
    plan = plan_steps(parts, replace(QUICK, epochs=3, batch_size=4))
    assert np.bincount(plan.order).tolist() == [3] * 37
    assert plan.steps == -(-37 * 3 // 4)
    assert plan.epoch_ends == (9, 18, 28)
    assert plan.running_tokens(parts)[-1] == 3 * sum(item.tokens for item in parts)


def test_batches_waste_little_on_padding() -> None:
    drawn = np.random.default_rng(0)
    lengths = drawn.integers(10, 400, 1000)
    parts = items([int(n) for n in lengths])
    plan = plan_steps(parts, replace(QUICK, epochs=1, batch_size=8))
    mixed = sum(int(lengths[at : at + 8].max()) * 8 for at in range(0, 1000, 8))
    assert plan.padded(parts, 8) < 1.1 * lengths.sum()
    assert mixed > 1.5 * lengths.sum()


def test_steps_can_be_limited_or_stretched() -> None:
    parts = items([5] * 10)
    assert plan_steps(parts, replace(QUICK, batch_size=4, max_steps=2)).steps == 2
    more = plan_steps(parts, replace(QUICK, batch_size=4, max_steps=7))
    assert len(more.order) == 28
    assert set(np.bincount(more.order)) == {2, 3}


# Settings


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("rank", 0, "0, expected at least 1"),
        ("epochs", 0, "0, expected more than 0"),
        ("holdout", 1.0, "expected less than 1"),
        ("method", "ppo", "expected one of sft, dpo"),
        ("targets", (), "no matrices named"),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: Any, said: str) -> None:  # noqa: ANN401
    with pytest.raises(DistillError, match=said) as caught:
        replace(QUICK, **{field: value})
    assert caught.value.field == field


# Training


@pytest.fixture(scope="session")
def student(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("students") / "first"
    train(make_selection(), tiny, out, QUICK)
    return out


def test_a_student_learns_and_says_how(student: Path, tiny: Path) -> None:
    record = StudentRecord.load(student)
    assert record.losses[-1][1] < 0.8 * record.losses[0][1]
    assert record.validation[-1][1] < record.validation[0][1]
    assert [step for step, _ in record.losses] == list(range(1, record.steps + 1))
    assert record.validation[0][0] == 0
    assert record.validation[-1][0] == record.steps
    assert record.data.examples == 38
    assert record.data.validation == 2
    assert record.data.sources == {"weak": 20, "strong": 20}
    assert record.base.path == str(tiny)
    assert record.settings["learning_rate"] == QUICK.learning_rate
    assert sorted(path.name for path in student.iterdir()) == [
        "adapter", "merged", "run.json", "student.json",
    ]  # fmt: skip


def test_the_merged_model_answers_as_base_and_adapter_do(student: Path, tiny: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.arange(3, 23)[None]
    with quiet(), torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(tiny)
        before = base(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(student / "merged")(ids).logits
        adapted = PeftModel.from_pretrained(base, student / "adapter")(ids).logits
    assert torch.allclose(merged, adapted, atol=1e-4)
    assert not torch.allclose(before, adapted, atol=1e-2)


def test_equal_seeds_give_equal_students(student: Path, tiny: Path, tmp_path: Path) -> None:
    train(make_selection(), tiny, tmp_path / "again", QUICK)
    train(make_selection(), tiny, tmp_path / "other", replace(QUICK, seed=1))
    first, again, other = weights(student), weights(tmp_path / "again"), weights(tmp_path / "other")
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_the_loss_on_completions_is_trls_own(tiny: Path, tmp_path: Path) -> None:
    # TRL's way of the loss is taken where the model is not known to have a plain head.
    from fusionfactory.distill.training import trainers

    settings = replace(QUICK, max_steps=2, dropout=0.0)
    ours = train(make_selection(), tiny, tmp_path / "ours", settings).record
    known, trainers._PLAIN_HEADS = trainers._PLAIN_HEADS, set()
    try:
        theirs = train(make_selection(), tiny, tmp_path / "theirs", settings).record
    finally:
        trainers._PLAIN_HEADS = known
    assert [x for _, x in ours.losses] == pytest.approx([x for _, x in theirs.losses], rel=1e-4)
    assert ours.validation[-1][1] == pytest.approx(theirs.validation[-1][1], rel=1e-4)


def test_the_best_epoch_is_kept_where_later_ones_are_worse(tiny: Path, tmp_path: Path) -> None:
    # Held-out queries have other answers: the second epoch is worse for them than the first.
    examples = make_selection().examples
    settings = replace(QUICK, keep_best=True, schedule="constant")
    held = set(sorted((e.query_id for e in examples), key=lambda q: rank(0, q))[:2])
    answers = [replaced(e, "zzzzzzzz" if e.query_id in held else "aaaaaaaa") for e in examples]
    selection = Selection(tuple(answers), (), {}, {})
    record = train(selection, tiny, tmp_path / "best", settings).record
    _, (first, after), (_, last) = record.validation
    assert after < last
    assert record.best_step == first == 5
    train(selection, tiny, tmp_path / "last", replace(settings, keep_best=False))
    best, final = weights(tmp_path / "best"), weights(tmp_path / "last")
    assert not all(np.array_equal(best[name], final[name]) for name in best)


def replaced(example: Example, response: str) -> Example:
    return example.model_copy(update={"response": response})


def test_preferences_move_the_margin(tiny: Path, student: Path, tmp_path: Path) -> None:
    settings = replace(QUICK, method="dpo", beta=0.5)
    record = train(make_selection(), tiny, tmp_path / "dpo", settings).record
    # Half of a coin's surprise is where no answer is preferred yet.
    assert record.validation[0][1] == pytest.approx(np.log(2), abs=1e-3)
    assert record.validation[-1][1] < 0.5
    assert record.data.sources == {"strong": 40}
    after = train(make_selection(), tiny, tmp_path / "both", settings, start=student).record
    assert after.start == str(student)
    assert after.validation[0][1] == pytest.approx(np.log(2), abs=1e-3)
    learnt = {*record.data.queries, *StudentRecord.load(student).data.queries}
    assert set(after.data.queries) == learnt
    assert len(record.data.queries) < len(make_selection().pairs)
    assert set(weights(tmp_path / "both")) == set(weights(student))


def test_progress_is_told_and_nothing_printed(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[Progress] = []
    train(make_selection(), tiny, tmp_path / "s", replace(QUICK, max_steps=3), progress=seen.append)
    assert [p.step for p in seen if p.stage == "train"][-1] == 3
    assert seen[-1].stage == "merge"
    assert seen[-2].loss is not None
    assert seen[-2].left_s == 0
    out = capfd.readouterr()
    assert (out.out, out.err) == ("", "")


# Taking up


def test_a_finished_student_is_not_trained_again(student: Path, tiny: Path) -> None:
    before = (student / "student.json").stat().st_mtime_ns
    trained = train(make_selection(), tiny, student, QUICK)
    assert trained.was_there
    assert (student / "student.json").stat().st_mtime_ns == before


def test_a_folder_of_another_training_is_refused(student: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "student"
    shutil.copytree(student, out)
    with pytest.raises(DistillError, match=r"rank 4, now 8.*--restart"):
        train(make_selection(), tiny, out, replace(QUICK, rank=8))
    with pytest.raises(DistillError, match="selection '"):
        train(make_selection(39), tiny, out, QUICK)
    assert train(make_selection(39), tiny, out, QUICK, restart=True).record.data.examples == 37


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_distill_train import QUICK, make_selection
from fusionfactory.distill.training import train
def told(progress):
    print(progress.stage, progress.step, flush=True)
train(make_selection(), sys.argv[1], Path(sys.argv[2]), QUICK, progress=told)
"""


def test_a_killed_training_ends_as_one_that_was_not(
    student: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-c", SCRIPT, str(tiny), str(out), str(Path(__file__).parent)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for line in running.stdout:
        if line.split() == ["train", "5"]:
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    # A checkpoint that was being written when the process died.
    half = out / "checkpoints" / "checkpoint-900"
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_step": 900', encoding="utf-8")
    trained = train(make_selection(), tiny, out, QUICK)
    assert trained.resumed_at in {3, 6}
    whole = StudentRecord.load(student)
    assert trained.record.steps == whole.steps
    assert np.allclose(trained.record.losses, whole.losses, rtol=1e-5)
    assert np.allclose(trained.record.validation, whole.validation, rtol=1e-5)
    first, second = weights(student), weights(out)
    assert all(np.allclose(first[name], second[name], atol=1e-6) for name in first)
    assert not (out / "checkpoints").exists()


def test_a_training_killed_before_the_merge_is_finished(
    student: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "unmerged"

    class Died(Exception):
        pass

    def die(progress: Progress) -> None:
        if progress.stage == "merge":
            msg = "just before the merge"
            raise Died(msg)

    with pytest.raises(Died, match="before the merge"):
        train(make_selection(), tiny, out, QUICK, progress=die)
    trained = train(make_selection(), tiny, out, QUICK)
    assert trained.resumed_at == trained.record.steps
    assert trained.record.losses == StudentRecord.load(student).losses
    first, second = weights(student), weights(out)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_best_epoch_is_kept_by_a_training_killed_before_the_merge(
    tiny: Path, tmp_path: Path
) -> None:
    examples = make_selection().examples
    held = set(sorted((e.query_id for e in examples), key=lambda q: rank(0, q))[:2])
    answers = [replaced(e, "zzzzzzzz" if e.query_id in held else "aaaaaaaa") for e in examples]
    selection = Selection(tuple(answers), (), {}, {})
    settings = replace(QUICK, keep_best=True, schedule="constant")

    def die(progress: Progress) -> None:
        if progress.stage == "merge":
            msg = "before the merge"
            raise InterruptedError(msg)

    with pytest.raises(InterruptedError, match="before the merge"):
        train(selection, tiny, tmp_path, settings, progress=die)
    before = weights(tmp_path)
    trained = train(selection, tiny, tmp_path, settings)
    assert trained.resumed_at == trained.record.steps
    assert trained.record.best_step == 5
    assert all(np.array_equal(before[name], kept) for name, kept in weights(tmp_path).items())


def test_of_equal_epochs_the_first_is_kept_as_the_record_says(tmp_path: Path) -> None:
    kept: list[object] = []
    data = items([3, 3])
    watch = Watch(
        Run(tmp_path, {}), plan_steps(data, QUICK), data, step=0, seconds=0.0, validates=True,
        report=None, keep=kept.append,
    )  # fmt: skip
    lines = [{"step": step, "eval_loss": loss} for step, loss in ((0, 1.0), (5, 2.0), (10, 2.0))]
    for seen in (1, 2, 3):
        state = SimpleNamespace(log_history=lines[:seen])
        watch.on_evaluate(None, state, None, model=lines[seen - 1]["step"])
    assert kept == [5]


def test_a_restart_spares_what_it_begins_from(student: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "student"
    shutil.copytree(student, out)
    preferring = replace(QUICK, method="dpo")
    with pytest.raises(DistillError, match=r"throws away .*adapter, .*another folder"):
        train(make_selection(), tiny, out, preferring, start=out, restart=True)
    with pytest.raises(DistillError, match=r"throws away .*merged, .*another folder"):
        train(make_selection(), out / "merged", out, QUICK, restart=True)
    assert (out / "student.json").exists()
    assert weights(out)


def test_an_unfinished_checkpoint_is_passed_over(tmp_path: Path) -> None:
    run = Run(tmp_path, {"a": 1})
    assert run.last() is None
    for step in (3, 12):
        (run.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
    run.mark(3, 1.5)
    found = run.last()
    assert found is not None
    assert (found.step, found.seconds) == (3, 1.5)
    assert not (run.checkpoints / "checkpoint-12").exists()


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path) -> None:
    first, second = Run(tmp_path, {"a": 1}), Run(tmp_path, {"a": 1})
    with (
        first.claimed(),
        pytest.raises(DistillError, match="another training is at work"),
        second.claimed(),
    ):
        pass
    with second.claimed():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_cannot_be_trained_leaves_no_folder(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="longer than 2 tokens"):
        train(make_selection(), tiny, tmp_path / "s", replace(QUICK, max_length=2))
    with pytest.raises(DistillError, match="none"):
        train(make_selection(), tmp_path / "none", tmp_path / "s", QUICK)
    assert not (tmp_path / "s").exists()


def test_an_adapter_that_cannot_be_used_leaves_no_folder(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DistillError, match="cannot be used as an adapter"):
        train(make_selection(), tiny, tmp_path / "out", QUICK, start=tmp_path / "empty")
    assert not (tmp_path / "out").exists()


def test_files_of_an_unknown_training_are_kept(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    with pytest.raises(DistillError, match="holds adapter of an unknown training"):
        train(make_selection(), tiny, tmp_path, QUICK)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="no finished student"):
        StudentRecord.load(tmp_path)
    (tmp_path / "student.json").write_text(json.dumps({"kind": "student"}), encoding="utf-8")
    with pytest.raises(DistillError, match=r"student\.json, field 'version'"):
        StudentRecord.load(tmp_path)


# Forecast


def test_a_forecast_tells_what_a_training_then_takes(student: Path, tiny: Path) -> None:
    told = forecast(make_selection(), tiny, QUICK)
    record = StudentRecord.load(student)
    assert (told.steps, told.tokens, told.trainable) == (
        record.steps, record.tokens, record.trainable,
    )  # fmt: skip
    assert (told.examples, told.validation) == (record.data.examples, record.data.validation)
    assert told.epochs == record.epochs
    assert told.parameters == record.base.parameters
    assert told.memory_bytes["weights"] == 4 * told.parameters
    assert not told.measured
    assert told.seconds == pytest.approx(told.tokens / told.tokens_per_s, rel=0.01, abs=0.1)
    assert 0 <= told.padding < 0.3


def test_a_probe_measures_and_leaves_nothing(tiny: Path) -> None:
    before = sorted(tiny.iterdir())
    told = forecast(make_selection(), tiny, QUICK, probe=True)
    assert told.measured
    assert told.tokens_per_s > 0
    assert sorted(tiny.iterdir()) == before


def test_more_is_forecast_for_larger_batches_and_preferences(tiny: Path) -> None:
    small, large = (forecast(make_selection(), tiny, replace(QUICK, batch_size=n)) for n in (2, 16))
    both = forecast(make_selection(), tiny, replace(QUICK, method="dpo"))
    assert large.memory_bytes["activations"] > 4 * small.memory_bytes["activations"]
    assert both.tokens_per_s < small.tokens_per_s
    assert both.answer_tokens > small.answer_tokens

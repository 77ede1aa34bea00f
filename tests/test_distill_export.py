"""Selections as training data, read back by those who would train on it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.distill import Example, Message, Pair, Selection
from fusionfactory.distill.exporting import FORMATS, ExportSettings, export
from fusionfactory.errors import DistillError, UnknownNameError
from fusionfactory.tasks.sampling import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXAMPLES_ONLY = ["trl-messages", "trl-prompt-completion"]
WITH_PAIRS = ["alpaca", "sharegpt", "openai", "llama-factory"]
MODEL = ExportSettings(model="org/some-model")

TEXTS = (
    "Two eggs and three: how many?",
    "  Lines\r\nand\ttabs, \"quotes\", 'bars' | and \\back\\slashes\n\n",
    "Ünïcode \u2028 你好 🙂 \u0000 {{content}} <image>",
    "{'looks': ['like', 'JSON']}\n```python\nprint(1)\n```",
)


def prompt(*contents: str) -> tuple[Message, ...]:
    """A conversation: the first text the system's unless empty, then user and assistant in turn."""
    system = [Message(role="system", content=contents[0])] if contents[0] else []
    roles: list[Any] = ["user", "assistant"]
    turns = [Message(role=roles[i % 2], content=text) for i, text in enumerate(contents[1:])]
    return (*system, *turns)


PROMPTS = (
    prompt("", TEXTS[0]),
    prompt("You are brief.\n", TEXTS[1]),
    prompt("", TEXTS[0], "Five.", TEXTS[2]),
    prompt("Be kind.", TEXTS[3], TEXTS[1], TEXTS[0], TEXTS[2], TEXTS[1]),
)


def example(query: int, asked: tuple[Message, ...], response: str, rank: int = 1) -> Example:
    return Example(
        query_id=f"own:{query}", task="own", prompt=asked, response=response, arm="big", rank=rank
    )


def pair(query: int, asked: tuple[Message, ...], chosen: str, rejected: str) -> Pair:
    return Pair(
        query_id=f"own:{query}", task="own", prompt=asked, chosen=chosen, rejected=rejected,
        chosen_arm="big", rejected_arm="small", gap=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def selection() -> Selection:
    """Every kind of prompt with every kind of text, two answers to a query."""
    examples = [
        example(number, asked, text, rank)
        for number, asked in enumerate(PROMPTS)
        for rank, text in enumerate((TEXTS[number], f"The answer is {number}."), 1)
    ]
    pairs = [
        pair(number, asked, TEXTS[number], f"Not {number}") for number, asked in enumerate(PROMPTS)
    ]
    return Selection(tuple(examples), tuple(pairs), {"criterion": "best"}, {})


Told = list[tuple[str, str]]


def told(asked: Sequence[Message], *answers: str) -> Told:
    """A conversation as (role, content), to compare."""
    return [*((str(m.role), m.content) for m in asked), *(("assistant", text) for text in answers)]


def from_messages(rows: Sequence[dict[str, Any]]) -> Told:
    return [(row["role"], row["content"]) for row in rows]


def from_sharegpt(row: dict[str, Any]) -> Told:
    roles = {"human": "user", "gpt": "assistant"}
    turns = [(roles[turn["from"]], turn["value"]) for turn in row["conversations"]]
    return [("system", row["system"])] * bool(row["system"]) + turns


def from_alpaca(row: dict[str, Any]) -> Told:
    turns = [
        turn for one, other in row["history"] for turn in (("user", one), ("assistant", other))
    ]
    assert row["input"] == ""
    system = [("system", row["system"])] * bool(row["system"])
    return [*system, *turns, ("user", row["instruction"])]


SFT_READERS: dict[str, Callable[[dict[str, Any]], Told]] = {
    "trl-messages": lambda row: from_messages(row["messages"]),
    "trl-prompt-completion": lambda row: from_messages([*row["prompt"], *row["completion"]]),
    "openai": lambda row: from_messages(row["messages"]),
    "sharegpt": from_sharegpt,
    "llama-factory": from_sharegpt,
    "alpaca": lambda row: [*from_alpaca(row), ("assistant", row["output"])],
}
DPO_READERS: dict[str, Callable[[dict[str, Any]], tuple[Told, str, str]]] = {
    "trl-preference": lambda row: (
        from_messages(row["prompt"]), row["chosen"][0]["content"], row["rejected"][0]["content"],
    ),
    "openai": lambda row: (
        from_messages(row["input"]["messages"]), row["preferred_output"][0]["content"],
        row["non_preferred_output"][0]["content"],
    ),
    "sharegpt": lambda row: (from_sharegpt(row), row["chosen"]["value"], row["rejected"]["value"]),
    "llama-factory": lambda row: (
        from_sharegpt(row), row["chosen"]["value"], row["rejected"]["value"],
    ),
    "alpaca": lambda row: (from_alpaca(row), row["chosen"], row["rejected"]),
}  # fmt: skip


def loaded(folder: Path, tmp_path: Path) -> Any:  # noqa: ANN401  a DatasetDict
    """A folder of rows by `datasets`, the way a trainer is given one."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("name", SFT_READERS)
def test_datasets_reads_every_example_as_it_was(
    selection: Selection, name: str, tmp_path: Path
) -> None:
    export(selection, name, tmp_path / "out", MODEL)
    rows = loaded(tmp_path / "out" / "sft", tmp_path)["train"]
    expected = [told(item.prompt, item.response) for item in selection.examples]
    assert sorted(SFT_READERS[name](row) for row in rows) == sorted(expected)
    if name != "alpaca":
        assert [SFT_READERS[name](row) for row in rows] == expected


@pytest.mark.parametrize("name", DPO_READERS)
def test_datasets_reads_every_pair_as_it_was(
    selection: Selection, name: str, tmp_path: Path
) -> None:
    export(selection, name, tmp_path / "out", MODEL)
    rows = loaded(tmp_path / "out" / "dpo", tmp_path)["train"]
    expected = [(told(item.prompt), item.chosen, item.rejected) for item in selection.pairs]
    assert sorted(DPO_READERS[name](row) for row in rows) == sorted(expected)


@pytest.mark.parametrize("name", ["alpaca", "openai"])
def test_a_large_file_has_its_types_in_the_first_rows(name: str, tmp_path: Path) -> None:
    """`datasets` fixes the columns' types from 10 MB; what comes later must not add to them."""
    long = "y" * 100_000
    examples = [example(number, prompt("", long), "Yes.") for number in range(200)]
    examples.append(example(200, PROMPTS[3], "No."))
    export(Selection(tuple(examples), (), {}, {}), name, tmp_path / "out")
    rows = loaded(tmp_path / "out" / "sft", tmp_path)["train"]
    assert told(PROMPTS[3], "No.") in [SFT_READERS[name](row) for row in rows]


def test_only_the_last_answer_is_learnt_by_openai(selection: Selection, tmp_path: Path) -> None:
    export(selection, "openai", tmp_path)
    for row in lines(tmp_path / "sft" / "train.jsonl"):
        weights = [m["weight"] for m in row["messages"] if m["role"] == "assistant"]
        assert weights == [0] * (len(weights) - 1) + [1]
    single = Selection(selection.examples[:2], (), {}, {})
    export(single, "openai", tmp_path / "single")
    rows = lines(tmp_path / "single" / "sft" / "train.jsonl")
    assert [set(message) for row in rows for message in row["messages"]] == [
        {"role", "content"}
    ] * 4


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def openai_faults(row: dict[str, Any]) -> list[str]:
    """What the checks that OpenAI publishes for files of conversations find wrong with a row."""
    keys = ("role", "content", "name", "function_call", "weight")
    roles = ("system", "user", "assistant", "function")
    rows = row.get("messages")
    if not rows:
        return ["no list of messages"]
    found = []
    for message in rows:
        if "role" not in message or "content" not in message:
            found.append("a message without role or content")
        if any(key not in keys for key in message):
            found.append("an unknown key")
        if message.get("role") not in roles:
            found.append("an unknown role")
        if not message.get("content") or not isinstance(message["content"], str):
            found.append("no content")
    return found + ["no answer"] * (rows[-1]["role"] != "assistant")


def test_openai_finds_no_fault(selection: Selection, tmp_path: Path) -> None:
    export(selection, "openai", tmp_path)
    assert [openai_faults(row) for row in lines(tmp_path / "sft" / "train.jsonl")] == [[]] * 8
    assert openai_faults({"messages": [{"role": "user", "content": "", "x": 1}]}) == [
        "an unknown key", "no content", "no answer",
    ]  # fmt: skip


def test_openai_types_take_the_messages(selection: Selection, tmp_path: Path) -> None:
    chat: Any = pytest.importorskip("openai.types.chat")
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(list[chat.ChatCompletionMessageParam])
    export(selection, "openai", tmp_path)
    for row in lines(tmp_path / "sft" / "train.jsonl"):
        plain = [{k: v for k, v in m.items() if k != "weight"} for m in row["messages"]]
        assert len(adapter.validate_python(plain, strict=True)) == len(plain)
    for row in lines(tmp_path / "dpo" / "train.jsonl"):
        for part in (row["input"]["messages"], row["preferred_output"]):
            adapter.validate_python(part, strict=True)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer whose tokens are bytes, with the ChatML template."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    special = ["<|im_start|>", "<|im_end|>", "<pad>"]
    vocabulary = {token: id for id, token in enumerate([*special, *alphabet])}
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    core.add_special_tokens(special)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<pad>",  # noqa: S106
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>'"
        " + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        "{% endif %}"
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


def chatml(turns: Told) -> str:
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)


OPEN = "<|im_start|>assistant\n"


@pytest.mark.torch
def test_trl_renders_what_was_selected(
    selection: Selection, tokenizer_folder: Path, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl.data_utils")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    rows = {}
    for name in (*EXAMPLES_ONLY, "trl-preference"):
        export(selection, name, tmp_path / name)
        part = "dpo" if name == "trl-preference" else "sft"
        rows[name] = list(loaded(tmp_path / name / part, tmp_path)["train"])
        assert all(trl.is_conversational(row) for row in rows[name])
        rows[name] = [trl.apply_chat_template(row, tokenizer) for row in rows[name]]
    for item, whole, split in zip(
        selection.examples, *(rows[name] for name in EXAMPLES_ONLY), strict=True
    ):
        assert whole["text"] == chatml(told(item.prompt, item.response))
        assert split["prompt"] == chatml(told(item.prompt)) + OPEN
        assert split["prompt"] + split["completion"] == whole["text"]
    for pair, ranked in zip(selection.pairs, rows["trl-preference"], strict=True):
        assert ranked["prompt"] == chatml(told(pair.prompt)) + OPEN
        assert ranked["chosen"] == f"{pair.chosen}<|im_end|>\n"
        assert ranked["rejected"] == f"{pair.rejected}<|im_end|>\n"


@pytest.mark.torch
def test_trl_learns_the_answer_alone(
    selection: Selection, tokenizer_folder: Path, tmp_path: Path
) -> None:
    trl = pytest.importorskip("trl")
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    export(selection, "trl-prompt-completion", tmp_path / "out")
    settings = trl.SFTConfig(
        str(tmp_path / "student"), report_to="none", use_cpu=True, bf16=False, max_length=None,
        disable_tqdm=True, gradient_checkpointing=None,
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        LlamaForCausalLM(config), settings, processing_class=tokenizer,
        train_dataset=loaded(tmp_path / "out" / "sft", tmp_path)["train"],
    )  # fmt: skip
    for item, row in zip(selection.examples, trainer.train_dataset, strict=True):
        batch = trainer.data_collator([row])
        learnt = [id for id in batch["labels"][0].tolist() if id >= 0]
        assert tokenizer.decode(learnt) == f"{item.response}<|im_end|>\n"
        assert tokenizer.decode(row["input_ids"]) == chatml(told(item.prompt, item.response))


@pytest.mark.torch
@pytest.mark.skipif(
    not importlib.util.find_spec("llamafactory"), reason="llamafactory is not installed"
)
def test_llama_factory_learns_what_was_selected(
    selection: Selection, tokenizer_folder: Path, tmp_path: Path
) -> None:
    """Its own parser of arguments, reader of the folder, converter, template and labels."""
    settings = ExportSettings(model="org/some-model", eval_share=0.25, seed=3)
    export(selection, "llama-factory", tmp_path / "out", settings)
    reader = Path(__file__).with_name("llamafactory_reader.py")
    done = subprocess.run(
        [sys.executable, str(reader), str(tokenizer_folder), "train_sft.yaml", "train_dpo.yaml"],
        cwd=tmp_path / "out", capture_output=True, text=True, check=False,
        env=os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    sft, dpo = json.loads(done.stdout.splitlines()[-1])
    held = min((f"own:{n}" for n in range(4)), key=lambda id: rank(3, id))
    examples = [item for item in selection.examples if item.query_id != held]
    pairs = [item for item in selection.pairs if item.query_id != held]
    assert [as_read(row) for row in sft["rows"]] == [
        told(item.prompt, item.response) for item in examples
    ]
    assert [as_read(row) for row in dpo["rows"]] == [
        told(item.prompt, item.chosen, item.rejected) for item in pairs
    ]
    for item, (seen, learnt) in zip(examples, sft["tokens"], strict=True):
        assert seen == chatml(told(item.prompt, item.response))
        assert learnt == f"{item.response}<|im_end|>\n"
    for pair, (chosen, learnt, rejected, avoided) in zip(pairs, dpo["tokens"], strict=True):
        assert chosen == chatml(told(pair.prompt, pair.chosen))
        assert rejected == chatml(told(pair.prompt, pair.rejected))
        assert (learnt, avoided) == (f"{pair.chosen}<|im_end|>\n", f"{pair.rejected}<|im_end|>\n")
    assert (sft["validation"], dpo["validation"]) == (2, 1)
    assert (sft["learning_rate"], dpo["learning_rate"]) == (1e-4, 5e-6)
    assert (sft["model"], sft["seed"], sft["lora_rank"]) == ("org/some-model", 3, 8)
    assert (dpo["pref_beta"], dpo["cutoff_len"]) == (0.1, 1024)


def as_read(row: dict[str, Any]) -> Told:
    system = [("system", row["_system"])] * bool(row["_system"])
    return [*system, *from_messages([*row["_prompt"], *row["_response"]])]


def test_no_query_stands_on_both_sides(tmp_path: Path) -> None:
    examples = [
        example(number, prompt("", f"Question {number}"), f"Answer {n}", n)
        for number in range(40)
        for n in (1, 2)
    ]
    pairs = [pair(number, prompt("", f"Question {number}"), "Yes", "No") for number in range(40)]
    selection = Selection(tuple(examples), tuple(pairs), {}, {})
    settings = ExportSettings(eval_share=0.1, seed=7)
    export(selection, "trl-prompt-completion", tmp_path, settings)
    export(selection, "trl-preference", tmp_path / "pairs", settings)
    asked = {
        path: [row["prompt"][0]["content"] for row in lines(tmp_path / path)]
        for path in ("sft/train.jsonl", "sft/validation.jsonl", "pairs/dpo/validation.jsonl")
    }
    ids = sorted((f"own:{number}" for number in range(40)), key=lambda id: rank(7, id))
    held = {f"Question {id.removeprefix('own:')}" for id in ids[:4]}
    assert set(asked["sft/validation.jsonl"]) == held
    assert set(asked["pairs/dpo/validation.jsonl"]) == held
    assert not held & set(asked["sft/train.jsonl"])
    assert len(asked["sft/train.jsonl"]) == 72


@pytest.mark.parametrize("queries", [1, 2])
def test_a_share_that_leaves_nothing_is_refused(queries: int, tmp_path: Path) -> None:
    items = tuple(example(number, PROMPTS[0], "Five.") for number in range(queries))
    settings = ExportSettings(eval_share=0.9)
    with pytest.raises(DistillError, match=rf"0.9 of {queries} queries leaves none to train on"):
        export(Selection(items, (), {}, {}), "alpaca", tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_pairs_that_are_all_held_out_are_refused(tmp_path: Path) -> None:
    items = tuple(example(number, PROMPTS[0], "Five.") for number in range(4))
    first = min(range(4), key=lambda number: rank(0, f"own:{number}"))
    selection = Selection(items, (pair(first, PROMPTS[0], "Five.", "Six."),), {}, {})
    with pytest.raises(DistillError, match="all 1 pairs belong to queries that are held out"):
        export(selection, "sharegpt", tmp_path, ExportSettings(eval_share=0.25))


def odd(*roles: str) -> tuple[Message, ...]:
    return tuple(Message.model_validate({"role": role, "content": "x"}) for role in roles)


@pytest.mark.parametrize("name", ["alpaca", "sharegpt", "llama-factory"])
@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (odd("user", "user"), "a message of 'user' where one of 'assistant' is due"),
        (odd("user", "system", "user"), "a message of 'system' where one of 'assistant' is due"),
        (odd("system", "assistant", "user"), "a message of 'assistant' where one of 'user' is due"),
        ((Message(role="system", content=""), *odd("user")), "an empty system message"),
    ],
)
def test_what_a_format_cannot_carry_is_named(
    name: str, asked: tuple[Message, ...], why: str, tmp_path: Path
) -> None:
    good = example(1, PROMPTS[0], "Five.")
    selection = Selection((good, example(2, asked, "x")), (), {}, {})
    message = rf"examples.jsonl, field 'prompt': the example of query 'own:2' by 'big': {name} "
    with pytest.raises(DistillError, match=f"{message}cannot carry {why}.* trl-prompt-completion"):
        export(selection, name, tmp_path / "out", MODEL)
    assert not (tmp_path / "out").exists()
    pairs = Selection((), (pair(2, asked, "x", "y"),), {}, {})
    with pytest.raises(DistillError, match="pair of query 'own:2' of 'big' and 'small'"):
        export(pairs, name, tmp_path / "out", MODEL)
    export(selection, "trl-prompt-completion", tmp_path / "out")
    export(pairs, "trl-preference", tmp_path / "pairs")
    rows = lines(tmp_path / "out" / "sft" / "train.jsonl")
    assert from_messages(rows[1]["prompt"]) == told(asked)


@pytest.mark.parametrize("name", FORMATS.builtin)
def test_a_prompt_without_a_question_is_refused(name: str, tmp_path: Path) -> None:
    asked = odd("user", "assistant")
    selection = Selection((example(1, asked, "x"),), (pair(1, asked, "x", "y"),), {}, {})
    with pytest.raises(DistillError, match="ends with a message of 'assistant', expected the user"):
        export(selection, name, tmp_path, MODEL)


@pytest.mark.parametrize("name", ["alpaca", "sharegpt", "llama-factory"])
def test_formats_that_are_named_can_carry_it(name: str, tmp_path: Path) -> None:
    asked = (Message(role="system", content=""), *odd("user"))
    with pytest.raises(DistillError, match=r"the same as none; trl-prompt-completion can$"):
        export(Selection((example(1, asked, "x"),), (), {}, {}), name, tmp_path, MODEL)


def test_openai_refuses_an_empty_message(tmp_path: Path) -> None:
    selection = Selection((example(1, prompt("Be brief.", ""), "x"),), (), {}, {})
    with pytest.raises(DistillError, match="query 'own:1' has an empty message of 'user'"):
        export(selection, "openai", tmp_path)


def test_what_is_left_out_is_said(selection: Selection, tmp_path: Path) -> None:
    done = export(selection, "trl-prompt-completion", tmp_path / "a")
    assert done.notes == (
        "4 pairs are left out, for trl-prompt-completion carries none; another format does",
    )
    assert not (tmp_path / "a" / "dpo").exists()
    done = export(selection, "trl-preference", tmp_path / "b")
    assert done.notes[0].startswith("8 examples are left out, for trl-preference carries none")
    done = export(selection, "sharegpt", tmp_path / "c")
    assert done.notes[0].startswith("4 examples hold earlier answers")
    done = export(selection, "openai", tmp_path / "d")
    assert "sft/train.jsonl has 8 rows: OpenAI takes no file of fewer than 10" in done.notes


def test_nothing_to_export_is_an_error(selection: Selection, tmp_path: Path) -> None:
    only = Selection(selection.examples, (), {}, {})
    with pytest.raises(DistillError, match=r"trl-preference carries pairs, and the .* 0 pairs"):
        export(only, "trl-preference", tmp_path)
    with pytest.raises(DistillError, match=r"alpaca carries examples or pairs, .* 0 examples"):
        export(Selection((), (), {}, {}), "alpaca", tmp_path)
    with pytest.raises(UnknownNameError, match="unknown training_format 'csv'; known: llama-f"):
        export(only, "csv", tmp_path)


def test_a_recipe_needs_a_model_that_can_be_trained(selection: Selection, tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="names the model to train, and none is set"):
        export(selection, "llama-factory", tmp_path / "out")
    with pytest.raises(DistillError, match=r"'small\.gguf' is a GGUF file"):
        export(selection, "llama-factory", tmp_path / "out", ExportSettings(model="small.gguf"))
    assert not (tmp_path / "out").exists()


def test_a_recipe_makes_room_for_the_longest(tmp_path: Path) -> None:
    long = Selection((example(1, prompt("", "word " * 4000), "Yes."),), (), {}, {})
    done = export(long, "llama-factory", tmp_path / "a", MODEL)
    assert 'model_name_or_path: "org/some-model"\n' in (tmp_path / "a/train_sft.yaml").read_text()
    assert "cutoff_len: 16384\n" in (tmp_path / "a/train_sft.yaml").read_text()
    assert done.notes == ()
    short = MODEL.model_copy(update={"max_length": 512, "template": "qwen"})
    done = export(long, "llama-factory", tmp_path / "b", short)
    assert "1 of 1 rows of sft are likely to be longer than 512 tokens" in done.notes[0]
    assert 'template: "qwen"\n' in (tmp_path / "b/train_sft.yaml").read_text()
    assert done.usage == ("llamafactory-cli train train_sft.yaml",)
    assert not (tmp_path / "b/train_dpo.yaml").exists()


def test_a_recipe_is_plain_yaml(selection: Selection, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    export(selection, "llama-factory", tmp_path, ExportSettings(model='a "b": #c'))
    read = yaml.safe_load((tmp_path / "train_dpo.yaml").read_text("utf-8"))
    assert read["learning_rate"] == 5e-6
    assert (read["model_name_or_path"], read["bf16"], read["warmup_steps"]) == (
        'a "b": #c',
        True,
        0,
    )


def test_replacing_an_export_leaves_no_old_rows(selection: Selection, tmp_path: Path) -> None:
    export(selection, "sharegpt", tmp_path, ExportSettings(eval_share=0.25))
    mine = tmp_path / "saves" / "weights"
    mine.parent.mkdir()
    mine.write_text("keep")
    with pytest.raises(DistillError, match="is there already: --force replaces an export"):
        export(selection, "trl-messages", tmp_path)
    assert (tmp_path / "sft" / "validation.jsonl").exists()
    done = export(selection, "trl-messages", tmp_path, force=True)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"export.json", "sft/train.jsonl", "saves/weights"}
    assert set(done.manifest.files) == {"sft/train.jsonl"}
    assert json.loads((tmp_path / "export.json").read_text())["selection"] == (
        selection.fingerprint()
    )


def test_a_manifest_cannot_point_outside(selection: Selection, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(selection, "trl-messages", out)
    manifest = json.loads((out / "export.json").read_text())
    manifest["files"]["../mine"] = "0"
    (out / "export.json").write_text(json.dumps(manifest))
    (tmp_path / "mine").write_text("keep")
    export(selection, "trl-messages", out, force=True)
    assert (tmp_path / "mine").read_text() == "keep"

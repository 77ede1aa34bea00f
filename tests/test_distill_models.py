"""Models from GGUF files and back: llama.cpp is asked whether they still are the same models."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.cachedir import cache_dir
from fusionfactory.distill.models.architectures import read_tensor
from fusionfactory.distill.models.base import load_base, unpacked_base
from fusionfactory.distill.models.facts import base_facts
from fusionfactory.distill.models.gguf_file import KINDS, stored_kind, write_gguf
from fusionfactory.distill.models.header import read_header
from fusionfactory.distill.models.tokenizer import SPLITS, rebuild_tokenizer
from fusionfactory.errors import DistillError
from tiny_gguf import TEMPLATE, Runtime, write_tiny_gguf

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.torch,
    # PEFT asks transformers under an old name.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]

PROMPTS = [
    "def add(a, b):",
    "The answer is",
    "<|im_start|>user\nHello<|im_end|>\n",
    "日本語 12 345",
]
ARCHITECTURES = ["llama", "qwen2", "qwen3"]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12 + 34?"},
    {"role": "assistant", "content": "46"},
    {"role": "user", "content": "Naïve   café?\n\n"},
]
PIECES = [
    "Hello world", "don't I'LL we've 'S 'Re", " 12345 1,234.56 ", " \n\n\t  \r\n", "naïve café",
    "def f(x):\n\treturn x**2  # ok\n", "日本語テスト", "Привет мир", "👩‍👩‍👧‍👦🎉", "²³¼½ Ⅷ ٣٤٥ 𝟙𝟚",
    "<|im_start|>user", "<|im_end|>", "<|endoftext|>", "<tool_call>", "<repo_name>", "<|im_",
    "\u00a0\u2003\u200b\ufeff", "e\u0301", "مرحبا", "हिन्दी", "ไทย", "a" * 40, "\x00\x01\x7f",
    '{"a": [1,2]}', "$x^2_{i}$", "_under_score", "\u0085\u2028", "한국어", "\U00020000",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "gguf" not in request.fixturenames:
        folder = request.getfixturevalue("tmp_path") / "cache"
        monkeypatch.setenv("FUSIONFACTORY_CACHE", str(folder))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "tiny.gguf")


def texts(count: int) -> Iterator[str]:
    rng = random.Random(0)  # noqa: S311
    yield from PIECES
    for number in range(count):
        if number % 2:
            parts = [rng.choice(PIECES) + rng.choice(["", " ", "\n"]) for _ in range(5)]
            yield "".join(parts)
        else:
            codes = (rng.choice([(32, 127), (0, 0x3000), (0x10000, 0x20000)]) for _ in range(20))
            yield "".join(chr(rng.randrange(*bounds)) for bounds in codes)


def next_tokens(model: Any, tokenizer: Any, prompt: str) -> Any:  # noqa: ANN401
    """(vocabulary,) logarithms of what comes after the prompt."""
    with torch.no_grad():
        logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
    return torch.log_softmax(logits.float(), -1)


def check_same(runtime: Runtime, model: Any, tokenizer: Any, tolerance: float) -> None:  # noqa: ANN401
    told = {prompt: runtime.next_tokens(prompt) for prompt in PROMPTS}
    assert sum(map(bool, told.values())) >= len(PROMPTS) // 3
    for prompt, likely in told.items():
        ours = next_tokens(model, tokenizer, prompt)
        for number, theirs in likely.items():
            assert abs(float(ours[number]) - theirs) < tolerance, prompt


@pytest.mark.parametrize("pre", SPLITS)
def test_the_tokenizer_gives_llama_cpps_ids_before_and_after_saving(
    tmp_path: Path, pre: str
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", pre=pre)
    runtime = Runtime(path)
    built = rebuild_tokenizer(read_header(path))
    built.save_pretrained(tmp_path / "saved")
    again = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "saved")
    for text in texts(300):
        ids = runtime.ids(text)
        assert built(text)["input_ids"] == ids, text
        assert again(text)["input_ids"] == ids, text
        assert again.decode(ids) == built.decode(ids)
    assert runtime.rendered(TALK) == again.apply_chat_template(
        TALK, tokenize=False, add_generation_prompt=True
    )


def test_ways_to_split_differ(tmp_path: Path) -> None:
    ids = {
        pre: tuple(
            rebuild_tokenizer(read_header(write_tiny_gguf(tmp_path / pre, pre=pre)))(
                "def add(a, b):\n    return 12345"
            )["input_ids"]
        )
        for pre in SPLITS
    }
    assert len(set(ids.values())) == len(SPLITS)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_loaded_model_goes_on_as_llama_cpp_does(
    tmp_path: Path, architecture: str, tied: bool
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture, tied=tied)
    model, tokenizer = load_base(path)
    runtime = Runtime(path)
    assert all(tokenizer(text)["input_ids"] == runtime.ids(text) for text in PIECES)
    check_same(runtime, model, tokenizer, 0.03)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.dtype == torch.float32
    assert load_base(path, dtype="bfloat16")[0].dtype == torch.bfloat16


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_unchanged_model_is_written_as_the_same_file(
    tmp_path: Path, architecture: str, tied: bool
) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture, tied=tied)
    model, _ = load_base(path)
    write_gguf(path, model, tmp_path / "out.gguf", kind="f32")
    before, after = read_header(path), read_header(tmp_path / "out.gguf")
    assert list(after.tensors) == list(before.tensors)
    for name, entry in before.tensors.items():
        np.testing.assert_array_equal(
            read_tensor(after, after.tensors[name]), read_tensor(before, entry)
        )
    assert {**after.raw, "general.quantization_version": b""} == {
        **before.raw,
        "general.quantization_version": b"",
    }
    written, first = Runtime(tmp_path / "out.gguf"), Runtime(path)
    assert [written.says(text, 10) for text in PROMPTS] == [
        first.says(text, 10) for text in PROMPTS
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_model_is_what_llama_cpp_runs(tiny: Path, tmp_path: Path, kind: str) -> None:
    from gguf import GGUFReader

    model, tokenizer = load_base(tiny)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight += torch.randn(
                layer.self_attn.q_proj.weight.shape, generator=torch.Generator().manual_seed(0)
            )
    out = tmp_path / "out.gguf"
    write_gguf(tiny, model, out, kind=kind)
    assert stored_kind(out) == kind
    check_same(Runtime(out), model, tokenizer, {"f32": 0.03, "f16": 0.1, "bf16": 0.3}.get(kind, 1))
    with pytest.raises(AssertionError, match="assert"):
        check_same(Runtime(tiny), model, tokenizer, 1)
    kinds = {tensor.name: tensor.tensor_type.name.lower() for tensor in GGUFReader(out).tensors}
    assert kinds["blk.0.attn_q.weight"] == kind
    assert kinds["blk.0.attn_norm.weight"] == "f32"
    written = read_tensor(header := read_header(out), header.tensors["blk.1.attn_q.weight"])
    wanted = model.model.layers[1].self_attn.q_proj.weight.detach().numpy()
    np.testing.assert_allclose(written, wanted, atol=0.02)
    assert header.fields["general.file_type"] == KINDS[kind].file_type


def test_a_file_is_unpacked_once_and_never_half(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked_base(tiny)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert unpacked_base(tiny) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    other = write_tiny_gguf(tmp_path / "other.gguf", seed=1)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fusionfactory.distill.models.base.rebuild_tokenizer", fail)
    with pytest.raises(KeyboardInterrupt):
        unpacked_base(other)
    assert list((cache_dir() / "bases").iterdir()) == [folder]


def test_loading_from_a_folder_is_loading_what_was_unpacked(tiny: Path) -> None:
    model, tokenizer = load_base(tiny)
    again, same = load_base(unpacked_base(tiny))
    for text in PROMPTS:
        assert torch.equal(next_tokens(again, same, text), next_tokens(model, tokenizer, text))
    assert same.chat_template == TEMPLATE


def test_smollm2_is_the_model_that_llama_cpp_serves(gguf: Path, tmp_path: Path) -> None:
    model, tokenizer = load_base(gguf)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    out = tmp_path / "unchanged.gguf"
    write_gguf(gguf, model, out)
    runtime = Runtime(out)
    for text in texts(300):
        assert tokenizer(text)["input_ids"] == runtime.ids(text), text
    prompt = tokenizer.apply_chat_template(TALK[:2], tokenize=False, add_generation_prompt=True)
    assert prompt == runtime.rendered(TALK[:2])
    check_same(runtime, model, tokenizer, 0.1)
    before, after = read_header(gguf), read_header(out)
    for name in ("token_embd.weight", "blk.7.attn_k.weight", "blk.29.ffn_down.weight"):
        stored = read_tensor(after, after.tensors[name])
        np.testing.assert_allclose(stored, read_tensor(before, before.tensors[name]), rtol=1e-3)
    same = set(before.raw) - {"general.file_type"}
    assert all(after.raw[name] == before.raw[name] for name in same)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_facts_are_those_of_the_loaded_model(tmp_path: Path, architecture: str) -> None:
    peft = pytest.importorskip("peft")
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture, tied=False)
    facts = base_facts(path)
    model, tokenizer = load_base(path)
    assert facts.parameters == model.num_parameters()
    assert (facts.layers, facts.hidden_size, facts.context_tokens) == (2, 64, 256)
    assert facts.vocabulary == len(tokenizer)
    assert facts.architecture == architecture
    assert facts.file_bytes == path.stat().st_size
    folder = base_facts(unpacked_base(path))
    assert (folder.parameters, folder.layers) == (facts.parameters, facts.layers)
    assert folder.adapter_parameters(8) == facts.adapter_parameters(8)
    for targets in ("all-linear", ["q_proj", "v_proj"]):
        config = peft.LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(load_base(path)[0], config)
        trainable, _ = adapted.get_nb_trainable_parameters()
        assert facts.adapter_parameters(4, targets) == trainable


def test_an_unknown_target_is_named(tiny: Path) -> None:
    with pytest.raises(DistillError, match=r"has 'c_attn'; known: down_proj, .*all-linear"):
        base_facts(tiny).adapter_parameters(8, ["q_proj", "c_attn"])


def test_an_adapter_that_is_not_merged_is_refused(tiny: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(load_base(tiny)[0], config)
    with pytest.raises(DistillError, match=r"the shape None, expected .* merge the adapter"):
        write_gguf(tiny, adapted, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


def test_a_model_with_two_matrices_has_no_place_in_a_file_with_one(
    tiny: Path, tmp_path: Path
) -> None:
    model, _ = load_base(tiny)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() + 1)
    with pytest.raises(DistillError, match="train neither embed_tokens nor lm_head"):
        write_gguf(tiny, model, tmp_path / "out.gguf")
    with pytest.raises(DistillError, match="field 'kind': 'q4', expected one of f16, bf16"):
        write_gguf(tiny, model, tmp_path / "out.gguf", kind="q4")


def test_what_cannot_be_loaded_is_said(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(DistillError, match=r"absent\.gguf: no such model file"):
        load_base(tmp_path / "absent.gguf")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:3000])
    with pytest.raises(DistillError, match=r"cut\.gguf: cannot be read as a GGUF file"):
        load_base(cut)
    late = tmp_path / "late.gguf"
    late.write_bytes(tiny.read_bytes()[:-50])
    with pytest.raises(DistillError, match="the file ends before its weights do"):
        load_base(late)
    for name, content in (("page.gguf", b"<html>not found</html>"), ("empty.gguf", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DistillError, match=r"cannot be read as a GGUF file .* anew"):
            base_facts(tmp_path / name)
    with pytest.raises(DistillError, match="cannot be loaded as a model"):
        load_base(tmp_path)
    with pytest.raises(DistillError, match=r"config\.json: no such file: expected a GGUF file or"):
        base_facts(tmp_path)
    assert not list((cache_dir() / "bases").glob("*"))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"architecture": "gemma3"}, "'gemma3' cannot be trained from a GGUF file, only llama"),
        ({"pre": "tekken"}, "split in the way 'tekken', expected one of gpt-2, smollm"),
        ({"fields": {"llama.rope.scaling.type": "yarn"}}, "positions scaled by 'yarn'"),
        ({"extra": ["rope_freqs.weight"]}, r"the tensor 'rope_freqs\.weight' has no place"),
    ],
)
def test_what_is_not_supported_is_said(tmp_path: Path, told: dict[str, Any], said: str) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", **told)
    with pytest.raises(DistillError, match=said + ".*: name the model's Hugging Face folder"):
        load_base(path)

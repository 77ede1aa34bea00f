"""`fusionfactory think`: banks made findable, prompts shown, and what goes wrong."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.cli import main
from fusionfactory.thoughts.prompt import CLOSING
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.search.indexing import index_bank
from fusionfactory.thoughts.template import TEMPLATES, Source, ThoughtTemplate, write_templates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def template(number: int, *criteria: str, task: str | None = "sums") -> ThoughtTemplate:
    return ThoughtTemplate(
        f"Note {number}.", f"What is {number} + {number}?", f"It is {2 * number}.",
        (Source(f"q{number}", "m"), Source(f"q{number}", "n|think")), criteria or ("performance",),
        "extractive", "extract-1", task,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the test runs, with a bank of eight templates that has no index yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bank").mkdir()
    fill(tmp_path / "bank", [template(number) for number in range(8)])
    return tmp_path / "bank"


def fill(bank: Path, templates: Sequence[ThoughtTemplate]) -> None:
    write_templates(templates, bank / TEMPLATES)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said where the use was wrong; nothing else is printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main(["think", *arguments])
    assert done.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401  JSON
    capsys.readouterr()
    main(["think", *arguments])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def feed(monkeypatch: pytest.MonkeyPatch, *lines: object) -> None:
    data = "\n".join(json.dumps(line) for line in lines).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_help_lists_the_sub_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["think", "--help"])
    said = capsys.readouterr().out
    for verb in ("build", "index", "apply", "evaluate"):
        assert f"\n  {verb} " in said
    assert "No such command 'guess'" in refused(capsys, "guess")


@pytest.mark.parametrize("verb", ["index", "apply"])
def test_help_shows_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    main(["think", verb, "--help"])
    assert f"Example: fusionfactory think {verb}" in capsys.readouterr().out


# index


def indexed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["think", "index", "--bank", "bank", "--json", *arguments])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def test_only_new_templates_are_embedded(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = indexed(capsys)
    assert (first["templates"], first["added"], first["encoder"]) == (8, 8, "text")
    assert first["anew"]
    before = (bank / "index.safetensors").read_bytes()
    same = indexed(capsys, "--encoder", "text")
    assert (same["added"], same["deleted"], same["anew"]) == (0, 0, False)
    assert (bank / "index.safetensors").read_bytes() == before
    vectors = ThoughtIndex.load(bank).encoder.encode(["What is 3 + 3?"])
    fill(bank, [template(number) for number in range(2, 12)])
    more = indexed(capsys)
    assert (more["templates"], more["added"], more["deleted"]) == (10, 4, 2)
    index = ThoughtIndex.load(bank)
    assert set(index.ids) == {template(number).id for number in range(2, 12)}
    assert (index.encoder.encode(["What is 3 + 3?"]) == vectors).all(), "stays as it was fitted"
    fill(bank, [template(number) for number in range(2, 5)])
    assert (indexed(capsys)["templates"], indexed(capsys)["deleted"]) == (3, 0)


def test_an_index_is_made_anew(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    indexed(capsys)
    other = indexed(capsys, "--encoder", "hashing:64")
    assert (other["encoder"], other["dim"], other["anew"]) == ("hashing", 64, True)
    assert not indexed(capsys)["anew"], "without a name the encoder stays"
    assert not indexed(capsys, "--encoder", "hashing:64")["anew"]
    assert indexed(capsys, "--encoder", "hashing:128")["dim"] == 128
    assert indexed(capsys, "--anew")["encoder"] == "text"
    (bank / "index.json").write_text("{}")
    said = refused(capsys, "index", "--bank", "bank")
    assert "bank/index.json" in said
    assert "Make the index anew: fusionfactory think index --anew" in said
    assert indexed(capsys, "--anew")["anew"]


def test_banks_that_cannot_be_indexed(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Missing option '--bank'" in refused(capsys, "index")
    said = refused(capsys, "index", "--bank", "absent")
    assert "absent/templates.jsonl: no such file: build templates first" in said
    said = refused(capsys, "index", "--bank", "bank", "--encoder", "bort")
    assert "unknown encoder 'bort'" in said
    fill(bank, [])
    said = refused(capsys, "index", "--bank", "bank")
    assert "bank/templates.jsonl: holds no template: build some by" in said
    assert [path.name for path in bank.iterdir()] == [TEMPLATES]


# apply


def test_questions_as_arguments(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index_bank(bank, "hashing")
    first, second = told(
        capsys, "apply", "--bank", "bank", "--strategy", "thought:2", "What is 3 + 4?", "So?"
    )
    (message,) = first["messages"]
    assert message["content"].startswith("Notes on how similar questions were solved:\n\nQuestion")
    assert message["content"].endswith(f"\n\nWhat is 3 + 4?\n\n{CLOSING}")
    assert len(first["templates"]) == 2
    assert first["templates"][0]["similarity"] >= first["templates"][1]["similarity"] > 0
    assert first["id"] != second["id"]
    assert second["messages"][0]["content"].endswith(f"So?\n\n{CLOSING}")


def test_a_conversation_stays_whole(
    bank: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    index_bank(bank, "hashing")
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    conversation: list[dict[str, Any]] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What is 2 + 2?", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "4"},
        {"role": "user", "content": [{"type": "text", "text": "And 5 + 5?"}, picture]},
        {"role": "assistant", "content": "I think"},
    ]
    feed(monkeypatch, {"id": "q5", "task": "sums", "messages": conversation})
    (line,) = told(capsys, "apply", "--bank", "bank", "--strategy", "thought:9")
    assert (line["id"], line["task"], len(line["templates"])) == ("q5", "sums", 7)
    got = line["messages"]
    assert [*got[:4], *got[5:]] == [*conversation[:4], *conversation[5:]]
    notes, *content, closing = got[4]["content"]
    assert content == conversation[4]["content"]
    assert notes["text"].count("Note: ") == 7
    assert "Note 5." not in notes["text"], "what was written from q5 itself"
    assert closing == {"type": "text", "text": CLOSING}


def test_the_tasks_own_instruction_is_kept(
    bank: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bank, [template(number, task="gsm8k") for number in range(3)])
    index_bank(bank, "hashing")
    feed(monkeypatch, {"text": "What is 7 + 7?", "task": "gsm8k", "id": 3}, "What is 8 + 8?")
    own, other = told(capsys, "apply", "--bank", "bank", "--strategy", "few-shot:1")
    (plain,) = told(capsys, "apply", "--strategy", "direct", "--task", "gsm8k", "What is 7 + 7?")
    asked = plain["messages"][0]["content"]
    assert asked.startswith("What is 7 + 7?\n\n")
    assert own["id"] == "3"
    assert own["messages"][0]["content"].endswith(f"\n\n{asked}\n\n{CLOSING}")
    assert other["messages"][0]["content"].endswith(f"\n\nWhat is 8 + 8?\n\n{CLOSING}")


def test_strategies_without_a_bank(capsys: pytest.CaptureFixture[str]) -> None:
    contents = [
        told(capsys, "apply", "--strategy", strategy, "So?")[0]["messages"][0]["content"]
        for strategy in ("direct", "think", "format")
    ]
    assert contents == ["So?", "So?\n\nLet's think step by step.", f"So?\n\n{CLOSING}"]


def test_what_is_used_and_where_from(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merged = replace(template(3), sources=(*template(3).sources, Source("q9", "m")))
    fill(bank, [template(1, "judge", "performance"), merged])
    index_bank(bank, "hashing")
    main(["think", "apply", "--bank", "bank", "--show", "What is 4 + [red]?"])
    said = capsys.readouterr().out
    assert "task sums; from q3 and 1 more; answered by m, n|think; chosen by performance;" in said
    assert "chosen by judge and performance; written by extractive (extract-1)" in said
    assert "\n1. similarity 0." in said
    assert "\n--- user\nNotes on how" in said
    assert "What is 4 + [red]?" in said
    main(["think", "apply", "--bank", "bank", "--show", "--strategy", "random:1", "x"])
    assert "\n1. drawn at random; task sums; from q" in capsys.readouterr().out
    main(["think", "apply", "--show", "--strategy", "format", "x"])
    assert "no template is used" in capsys.readouterr().out


def test_a_short_budget_uses_fewer(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index_bank(bank, "hashing")
    (line,) = told(capsys, "apply", "--bank", "bank", "--token-budget", "45", "What is 3 + 4?")
    used = len(line["templates"])
    assert 1 <= used < 3
    assert line["messages"][0]["content"].count("Note: ") == used


def test_settings_name_bank_and_strategy(
    bank: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (bank.parent / "fusionfactory.toml").write_text(
        '[think]\nbank = "bank"\nencoder = "hashing:32"\nstrategy = "thought:1"\n'
    )
    capsys.readouterr()
    main(["think", "index", "--json"])
    assert json.loads(capsys.readouterr().out)["dim"] == 32
    assert len(told(capsys, "apply", "So?")[0]["templates"]) == 1
    monkeypatch.setenv("FUSIONFACTORY_THINK_APPLY_STRATEGY", "random:2")
    assert len(told(capsys, "apply", "So?")[0]["templates"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "thought", "x"], "'thought' is no prompt pattern; expected direct, think"),
        (["--strategy", "thought-judge:2", "x"], "no template chosen by 'judge'; it has perf"),
        (["--task", "sum", "x"], "no task 'sum' is known or in the settings; the bank has sums"),
        (["--token-budget", "0", "x"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_use(
    bank: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    index_bank(bank, "hashing")
    assert message in refused(capsys, "apply", "--bank", "bank", *arguments)


def test_a_bank_that_is_missing_or_out_of_date(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "apply", "x")
    assert "the strategy 'thought:3' needs a bank: --bank FOLDER, or `bank` under [think]" in said
    said = refused(capsys, "apply", "--bank", "absent", "x")
    assert "absent/templates.jsonl: no such file: build templates first" in said
    said = refused(capsys, "apply", "--bank", "bank", "x")
    assert "bank/index.json: no index here: make one by `fusionfactory think index`" in said
    index_bank(bank, "hashing")
    fill(bank, [template(number) for number in range(1, 10)])
    said = refused(capsys, "apply", "--bank", "bank", "x")
    assert "bank: the index is not of these templates: it lacks 2 and has 1 others." in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"words": "x"}, "row 2, field 'query': expected a JSON object with a text 'query'"),
        ({"query": "x", "id": {}}, "row 2, field 'id': {} is no name, expected a text"),
        ({"query": "x", "task": ""}, "row 2, field 'task': '' is no name, expected a text"),
        ({"messages": [{"role": "system", "content": "x"}]}, "row 2, field 'messages': the conv"),
        ({"messages": ["x"]}, "row 2, field 'messages': expected JSON objects with a 'role'"),
        ({"messages": [{"role": "user", "content": 5}]}, "row 2, field 'messages': content 5 is"),
        (
            {"messages": [{"role": "user", "content": "x", "n": float("inf")}]},
            "row 2, field 'messages': holds a number that is not finite",
        ),
    ],
)
def test_a_bad_line_is_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: object,
    message: str,
) -> None:
    feed(monkeypatch, "good", line)
    assert f"standard input, {message}" in refused(capsys, "apply", "--strategy", "format")

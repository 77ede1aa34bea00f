"""Settings: what counts before what, and files that are wrong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from fusionfactory.cli import main
from fusionfactory.cli.app import cli
from fusionfactory.config import (
    Config,
    DistillSection,
    ScaleSection,
    ThinkSection,
    read_config,
)
from fusionfactory.errors import ConfigError
from fusionfactory.evaluation import DEFAULT_SCENARIOS
from fusionfactory.routers import BASE_ROUTERS, PAPER
from fusionfactory.serve_settings import ServeSection
from fusionfactory.settings_template import TEMPLATE
from fusionfactory.testing import make_table
from fusionfactory.thoughts.search.indexing import DEFAULT_ENCODER


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_table(40).write(tmp_path / "log.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _seeds(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    main([*arguments, "log.parquet", "--router", "elo", "--scenario", "performance", "--json"])
    return int(json.loads(capsys.readouterr().out)["table"]["seeds"])


def test_flag_before_environment_before_file_before_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _seeds(["evaluate"], capsys) == 1
    (folder / "fusionfactory.toml").write_text("[evaluate]\nseeds = 2\n")
    assert _seeds(["evaluate"], capsys) == 2
    monkeypatch.setenv("FUSIONFACTORY_EVALUATE_SEEDS", "3")
    assert _seeds(["evaluate"], capsys) == 3
    assert _seeds(["evaluate", "--seeds", "4"], capsys) == 4


def test_another_file_by_flag_or_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "other.toml").write_text("[evaluate]\nseeds = 2\n")
    assert _seeds(["--config", "other.toml", "evaluate"], capsys) == 2
    monkeypatch.setenv("FUSIONFACTORY_CONFIG", "other.toml")
    assert _seeds(["evaluate"], capsys) == 2


def test_lists_come_from_file_and_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def routers() -> list[str]:
        main(["evaluate", "log.parquet", "--json"])
        rows = json.loads(capsys.readouterr().out)["scenarios"]["performance"]
        return [row["router"] for row in rows if row["decide_p50_ms"] is not None]

    (folder / "fusionfactory.toml").write_text(
        '[evaluate]\nrouter = ["elo", "knn:k=5,seed=1"]\nscenario = ["performance"]\n'
    )
    assert sorted(routers()) == ["elo", "knn:k=5,seed=1"]
    monkeypatch.setenv("FUSIONFACTORY_EVALUATE_ROUTER", "elo,task")
    assert sorted(routers()) == ["elo", "task"]


# Files that are wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[evaluate]\nseed = 3", r"bad\.toml, field 'evaluate\.seed': Extra inputs are not"),
        ("[evalute]\nseeds = 3", r"bad\.toml, field 'evalute': Extra inputs are not permitted"),
        ("[evaluate]\nseeds = 0", r"field 'evaluate\.seeds': .*greater than or equal to 1 \(got 0"),
        ("[evaluate]\nseeds = 'x'", r"field 'evaluate\.seeds': .*valid integer.*\(got 'x'\)"),
        ("[evaluate]\nrouter = 'knn'", r"field 'evaluate\.router': .*tuple.*\(got 'knn'\)"),
        ("[think]\nbanks = 'x'", r"field 'think\.banks': Extra inputs are not"),
        ("[think]\ncriterion = ['best']", r"field 'think\.criterion\.0': .*'performance', 'judge'"),
        ("[think]\ntoken_budget = 0", r"field 'think\.token_budget': .*greater than or equal to 1"),
        ("[fit]\nholdout = 1.0", r"field 'fit\.holdout': .*less than 1 \(got 1\.0\)"),
        ("seeds = ", r"bad\.toml: Invalid value"),
        ("[evaluate", r"bad\.toml: Expected ']'"),
    ],
)
def test_a_wrong_file_names_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bad\.toml: 'utf-8' codec can't decode"):
        read_config(tmp_path / "bad.toml")


def test_a_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config() == Config()
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file"):
        read_config(Path("absent.toml"))


def test_the_command_line_reports_a_wrong_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "fusionfactory.toml").write_text("[evaluate]\nseed = 3\n")
    with pytest.raises(SystemExit) as done:
        main(["evaluate", "log.parquet"])
    assert done.value.code == 2
    assert "error: fusionfactory.toml, field 'evaluate.seed'" in capsys.readouterr().err


# The template

EXAMPLE_SETTINGS = (
    "name", "base_url", "api_key_env", "concurrency", "requests_per_minute", "endpoint",
    "strategies", "params", "gguf", "source", "test_source", "path", "metric", "instruction",
    "can", "window_tokens", "embeds",
)  # fmt: skip


THINK_VERBS = ("build", "index", "apply", "evaluate")


def _defaults(verb: str, under: str | None = None) -> dict[str, Any]:
    group = cli if under is None else cli.get_command(click.Context(cli), under)
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    return {str(option.name): option.default for option in command.params}


def test_the_template_states_the_defaults() -> None:
    settings = tomllib.loads(TEMPLATE)
    store = settings.pop("store")
    expected: dict[str, Any] = {
        verb: {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}
        for verb, section in settings.items()
    }
    engine = expected.pop("scale")["engine"]
    serve = ServeSection.model_validate(expected.pop("serve"))
    assert serve == ServeSection()
    expected["serve"] = serve.options()
    think = expected["think"]
    think["bank"] = Path(think["bank"])
    expected["think"] = {
        verb: {k: think[k] for k in names if k in think}
        for verb, names in {
            "build": ("bank", "writer", "criterion"),
            "index": ("bank", "encoder"),
            "apply": ("bank", "strategy", "token_budget"),
            "evaluate": ("bank",),
        }.items()
    }
    for section in ("collect", "score", "judge", "serve", "learn", "promote"):
        expected.setdefault(section, {})["store"] = store
    for section in ("build", "evaluate"):
        expected["think"][section]["store"] = store
    for section in ("collect", "score", "judge", "evaluate"):
        expected[section]["engine"] = engine
    expected["think"]["build"]["engine"] = engine
    expected["distill"] = {
        "select": {**settings["distill"], "store": store},
        "train": {},
        "evaluate": {"strategy": settings["distill"]["strategy"], "store": store},
    }
    assert Config.model_validate({**settings, "store": store}).default_map() == expected
    evaluate, fit, collect = _defaults("evaluate"), _defaults("fit"), _defaults("collect")
    lists = {"router": [*BASE_ROUTERS, *PAPER], "scenario": list(DEFAULT_SCENARIOS)}
    numbers = {k: v for k, v in settings["evaluate"].items() if k not in lists}
    assert settings["evaluate"] == lists | numbers
    assert numbers == {name: evaluate[name] for name in numbers}
    assert settings["fit"] == {name: fit[name] for name in settings["fit"]}
    assert settings["collect"] == {name: collect[name] for name in settings["collect"]}
    assert settings["route"] == {}
    select = _defaults("select", "distill")
    assert settings["distill"] == {name: select[name] for name in settings["distill"]}
    think.pop("bank")
    assert think.pop("encoder") == DEFAULT_ENCODER
    build, apply = _defaults("build", "think"), _defaults("apply", "think")
    assert think == {name: (build | apply)[name] for name in think}


def test_settings_of_think_reach_the_sub_verbs_that_have_them() -> None:
    """A name that a sub-verb lacks would be passed over in silence."""
    every = dict.fromkeys(ThinkSection.model_fields, 1) | {
        "bank": "b", "writer": "w", "criterion": ["judge"], "source_arm": ["a"], "encoder": "e",
        "strategy": "s",
    }  # fmt: skip
    section = ThinkSection.model_validate(every)
    options = section.options()
    assert tuple(options) == THINK_VERBS
    for verb, given in options.items():
        assert given.keys() <= _defaults(verb, "think").keys()
    assert set().union(*options.values()) == set(every)
    assert section.prompting() == {"token_budget": 1, "network": True}


def test_settings_of_distill_reach_the_sub_verbs_that_have_them() -> None:
    every = dict.fromkeys(DistillSection.model_fields, "x") | {
        "criterion": "judge", "top_k": 1, "source_arm": ["a"],
    }  # fmt: skip
    options = DistillSection.model_validate(every).options()
    for verb, given in options.items():
        assert given.keys() <= _defaults(verb, "distill").keys()
    assert options["select"]["student"] == options["evaluate"]["before"] == "x"
    assert sum(map(len, options.values())) == len(every) + 2


def test_every_setting_is_an_option_and_stands_in_the_template() -> None:
    for verb, section in Config():
        if isinstance(section, BaseModel):
            names = type(section).model_fields
            if isinstance(section, ThinkSection):
                options = [_defaults(sub_verb, "think").keys() for sub_verb in THINK_VERBS]
                assert names.keys() <= set().union(*options)
            elif isinstance(section, ServeSection):
                assert section.options().keys() <= _defaults(verb).keys()
            elif not isinstance(section, DistillSection | ScaleSection):
                assert names.keys() <= _defaults(verb).keys()
            _assert_in_template(verb, section)


def _assert_in_template(heading: str, section: BaseModel) -> None:
    _, _, text = TEMPLATE.partition(f"\n[{heading}]\n")
    text = "\n" + text.partition("\n[")[0]
    for name, value in section:
        if isinstance(value, BaseModel):
            _assert_in_template(f"{heading}.{name}", value)
        elif name == "plans":
            assert f"\n# [[{heading}.{name}]]\n" in TEMPLATE
        else:
            assert f"\n{name} = " in text or f"\n# {name} = " in text, f"{heading}.{name}"


def test_the_examples_of_the_template_are_settings() -> None:
    """Every line of code that is commented out, taken together, is a file that can be read."""
    code = [
        line.removeprefix("# ")
        for line in TEMPLATE.splitlines()
        if line.startswith(("# [[", *(f"# {name} = " for name in EXAMPLE_SETTINGS)))
    ]
    config = Config.model_validate(tomllib.loads("\n".join(code)))
    assert [endpoint.name for endpoint in config.endpoints] == ["openai"]
    assert [model.name for model in config.models] == ["gpt-4o-mini", "smollm2"]
    first = config.models[0]
    assert (first.can, first.window_tokens, first.embeds) == (("tools", "json"), 128_000, False)
    assert [task.name for task in config.tasks] == ["gsm8k", "support"]
    assert [str(plan.path) for plan in config.serve.plans] == ["plan"]


# Endpoints, models and tasks


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('[[models]]\nname = "m"', r"the model 'm' needs either `endpoint` or `gguf`"),
        ('[[models]]\nname = "m"\nendpoint = "e"\ngguf = "x.gguf"', "either `endpoint` or"),
        ('[[models]]\nname = "m"\nendpoint = "e"\nstrategies = ["think", "think"]',
         "the model 'm' has the strategy 'think' twice"),
        ('[[tasks]]\nname = "t"\npath = "x.jsonl"', "the task 't' is your own with both"),
        ('[[tasks]]\nname = "t"\nmetric = "contains"', "the task 't' is your own with both"),
        ('[[endpoints]]\nname = "e"', r"endpoints\.0\.base_url'"),
        ('[[endpoints]]\nname = "e"\nbase_url = "x:8000/v1"', "an http or https URL"),
        ('[[endpoints]]\nname = "e"\nbase_url = "http://x"\napi_key = "sk-1"', "api_key'"),
    ],
)  # fmt: skip
def test_a_wrong_endpoint_model_or_task_is_named(
    tmp_path: Path, settings: str, message: str
) -> None:
    (tmp_path / "f.toml").write_text(settings)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "f.toml")


@pytest.mark.parametrize(
    "setting",
    [
        'base_url = "http://x"\napi_key = "sk-1"',
        'base_url = "http://x"\napi_key_env = "sk-1"',
        'base_url = "http://me:sk-1@x"',
        'api_key = "sk-1"',
    ],
)
def test_a_key_in_the_settings_is_refused_and_not_repeated(tmp_path: Path, setting: str) -> None:
    (tmp_path / "f.toml").write_text(f'[[endpoints]]\nname = "e"\n{setting}')
    with pytest.raises(ConfigError, match=r"field 'endpoints\.0\.") as refused:
        read_config(tmp_path / "f.toml")
    assert "sk-1" not in str(refused.value)

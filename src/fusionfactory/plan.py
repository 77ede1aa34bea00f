"""From the settings to what is run: questions, clients, and a call for every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fusionfactory.clients import ChatRequest
from fusionfactory.collect import ArmCall, interleaved
from fusionfactory.errors import ConfigError
from fusionfactory.judge import Judge
from fusionfactory.pricing import CallPrice
from fusionfactory.scorers import ALIASES, SCORERS
from fusionfactory.tasks import TASKS, make_task
from fusionfactory.tasks.own import OwnTask
from fusionfactory.tasks.sampling import rank, sample
from fusionfactory.tasks.sources import load_examples
from fusionfactory.thoughts.prompter import Prompter, plain_messages
from fusionfactory.thoughts.strategy import parse_strategy
from fusionfactory.types import JUDGE_ONLY, Arm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from fusionfactory.clients import Client
    from fusionfactory.clients.limits import Limits
    from fusionfactory.config import Config, EndpointSettings, ModelSettings, TaskSettings
    from fusionfactory.tasks import Task
    from fusionfactory.types import Query

__all__ = [
    "call_price",
    "choose",
    "endpoint_name",
    "known_tasks",
    "make_clients",
    "make_judge",
    "make_prompter",
    "plan_calls",
    "questions",
    "tasks_by_name",
]

Settings = TypeVar("Settings", "EndpointSettings", "ModelSettings", "TaskSettings")


def choose(kind: str, given: Sequence[Settings], names: Collection[str]) -> list[Settings]:
    """Those settings that are named, in the order of the file; all where none is named.

    Args:
        kind: `endpoint`, `model` or `task`, for the message.
        given: What the settings file holds.
        names: What was asked for.

    Raises:
        ConfigError: A name is not in the settings, or two settings have one name.
    """
    known = [item.name for item in given]
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        msg = f"{twice!r} stands twice in the settings"
        raise ConfigError(msg, field=f"{kind}s")
    for name in names:
        if name not in known:
            has = ", ".join(known) or "none"
            msg = f"no {kind} {name!r} in the settings; known: {has}"
            raise ConfigError(msg, field=kind)
    return [item for item in given if not names or item.name in names]


def tasks_by_name(settings: Iterable[TaskSettings]) -> dict[str, Task]:
    """The task of each setting: a known one, or the user's own.

    Raises:
        ConfigError: There is no metric of that name: better said before the answers are paid.
        UnknownNameError: There is no task of that name.
    """
    return {item.name: _own(item).task if item.path else make_task(item.name) for item in settings}


def known_tasks(config: Config, names: Iterable[str | None]) -> dict[str, Task]:
    """The tasks of the settings, and of the names those that are known without settings.

    Raises:
        ConfigError, UnknownNameError: As `tasks_by_name`.
    """
    known = set(TASKS.names())
    asked = dict.fromkeys(names)
    found = {name: make_task(name) for name in asked if name is not None and name in known}
    return found | tasks_by_name(config.tasks)


def questions(
    settings: Iterable[TaskSettings],
    *,
    train: int | None = None,
    test: int | None = None,
    seed: int = 0,
) -> list[Query]:
    """The questions of all tasks, drawn by seed, with the tasks in turn and both splits mixed.

    So a run that is cut short has questions of every task to learn from and to test on.

    Args:
        settings: Tasks with their sources; their own `train` and `test` count first.
        train: Questions of each task for train; None as `tasks.sampling.draw` has it.
        test: Likewise, for test.
        seed: Of the draw.

    Raises:
        ConfigError: As `tasks_by_name`.
        TaskError: A source cannot be read or holds a malformed question.
        MissingExtraError: A source needs a package that is not installed.
    """
    found: list[Query] = []
    for item in settings:
        own = _own(item) if item.path else None
        task = own.task if own else make_task(item.name)
        examples = own.examples() if own else load_examples(task, item.source)
        held_out = load_examples(task, item.test_source) if item.test_source else None
        drawn = sample(
            task,
            examples,
            test_examples=held_out,
            train=train if item.train is None else item.train,
            test=test if item.test is None else item.test,
            seed=seed,
        )
        found += sorted(drawn, key=lambda query: rank(seed, query.id))
    return interleaved(found)


def _own(item: TaskSettings) -> OwnTask:
    if item.metric not in {*SCORERS.names(), *ALIASES, JUDGE_ONLY}:
        has = ", ".join((*SCORERS.names(), JUDGE_ONLY))
        msg = f"the task {item.name!r} has the unknown metric {item.metric!r}; known: {has}"
        raise ConfigError(msg, field="tasks.metric")
    return OwnTask(**item.model_dump(exclude={"source", "test_source", "train", "test"}))


def endpoint_name(model: ModelSettings) -> str:
    """Under which name `make_clients` has the model's client."""
    return model.endpoint or f"gguf:{model.name}"


def make_clients(
    config: Config,
    models: Iterable[ModelSettings],
    limits: Callable[[EndpointSettings], Limits] | None = None,
) -> dict[str, Client]:
    """A client for every endpoint and every local model that is used.

    Args:
        config: Its `[[endpoints]]` say where they are.
        models: What is to be asked.
        limits: Makes what paces an endpoint's calls; None for the limits of its settings.

    Raises:
        ConfigError: A model names an endpoint that the settings do not hold, or hold twice.
        InputError: An endpoint's URL cannot be used.
    """
    known = {endpoint.name: endpoint for endpoint in choose("endpoint", config.endpoints, ())}
    clients: dict[str, Client] = {}
    for model in models:
        name = endpoint_name(model)
        if name in clients:
            continue
        if model.gguf is not None:
            from fusionfactory.clients.local import LocalClient

            clients[name] = LocalClient(
                model.gguf, context_tokens=model.context_tokens, threads=model.threads
            )
        elif name in known:
            clients[name] = _endpoint_client(known[name], limits)
        else:
            has = ", ".join(known) or "none"
            msg = f"the model {model.name!r} names the endpoint {name!r}; known: {has}"
            raise ConfigError(msg, field="models.endpoint")
    return clients


def _endpoint_client(
    settings: EndpointSettings, limits: Callable[[EndpointSettings], Limits] | None
) -> Client:
    from fusionfactory.clients.endpoint import EndpointClient

    shared = limits(settings) if limits else None
    return EndpointClient(**settings.model_dump(exclude={"name", "provider"}), limits=shared)


def call_price(config: Config, model: ModelSettings) -> CallPrice:
    """What a call of the model costs; a local one has a price only where the settings say so."""
    listed = None if model.gguf else model.model or model.name
    endpoint = next((item for item in config.endpoints if item.name == model.endpoint), None)
    return CallPrice(
        model.price_as or listed,
        None if endpoint is None else endpoint.provider,
        model.input_price,
        model.output_price,
    )


def make_judge(config: Config, name: str, *, structured: bool | None = None) -> Judge:
    """The judge of this name, with its client.

    Args:
        config: Its `[[models]]` hold the judge.
        name: Of the judge.
        structured: See `Judge`.

    Raises:
        ConfigError, InputError: There is no such model, or its endpoint cannot be used.
    """
    (model,) = choose("model", config.models, [name])
    endpoint = endpoint_name(model)
    return Judge(
        model=model.model or model.name,
        client=make_clients(config, [model])[endpoint],
        price=call_price(config, model),
        name=model.name,
        endpoint=endpoint,
        params=model.params,
        structured=structured,
    )


def make_prompter(
    config: Config, models: Iterable[ModelSettings], strategies: Collection[str] = ()
) -> Prompter | None:
    """What writes the prompts with templates; None where no strategy that is asked for needs it.

    Args:
        config: Its `[think]` section says where the bank is.
        models: What is to be asked, under each of their strategies.
        strategies: Only these of the models' strategies; all where none is named.

    Raises:
        UnsupportedError: There is no strategy of that name.
        ConfigError: A strategy needs a bank, and the settings name none.
        ThoughtError: The bank or its index is missing, damaged or out of date.
    """
    names = [strategy for _, strategy in _arms(models, strategies)]
    needing = next((name for name in names if parse_strategy(name).needs_bank), None)
    if needing is None:
        return None
    if config.think.bank is None:
        msg = (
            f"the strategy {needing!r} needs a bank of templates, and the settings name none: set "
            "`bank` under [think]"
        )
        raise ConfigError(msg, field="think.bank")
    return Prompter.load(config.think.bank, **config.think.prompting())


def plan_calls(
    config: Config,
    models: Sequence[ModelSettings],
    queries: Iterable[Query],
    *,
    tasks: Mapping[str, Task],
    strategies: Collection[str] = (),
    samples: int = 1,
    prompter: Prompter | None = None,
) -> list[ArmCall]:
    """Every call, query by query, so that a run that is cut short has whole rows.

    Args:
        config: For the endpoints' providers.
        models: What to ask, under each of their strategies.
        queries: What is asked.
        tasks: Name to task, for the prompts; a query of another task is asked as it stands.
        strategies: Only these of the models' strategies; all where none is named.
        samples: Answers per query and arm.
        prompter: Writes the prompts of the strategies that need a bank: see `make_prompter`.

    Raises:
        ConfigError: None of the models has one of the strategies, or a prompter is needed.
        UnsupportedError: There is no strategy of that name.
        ThoughtError: The bank holds no templates for a strategy.
    """
    arms = _arms(models, strategies)
    if not arms:
        msg = f"no model of the settings has a strategy {' or '.join(strategies)}"
        raise ConfigError(msg, field="strategies")
    prices = {model.name: call_price(config, model) for model in models}
    queries = list(queries)
    asked = {
        strategy: _messages(queries, tasks, strategy, prompter)
        for strategy in dict.fromkeys(strategy for _, strategy in arms)
    }
    calls = []
    for i, query in enumerate(queries):
        for model, strategy in arms:
            asks = {"logprobs": True} if model.logprobs else {}
            request = ChatRequest(
                model.model or model.name,
                asked[strategy][i],
                {**asks, **model.params, **model.strategy_params.get(strategy, {})},
            )
            arm = Arm(model.name, strategy, description=model.description)
            calls += [
                ArmCall(query, arm, request, endpoint_name(model), prices[model.name], number)
                for number in range(samples)
            ]
    return calls


def _arms(
    models: Iterable[ModelSettings], strategies: Collection[str]
) -> list[tuple[ModelSettings, str]]:
    return [
        (model, strategy)
        for model in models
        for strategy in model.strategies
        if not strategies or strategy in strategies
    ]


def _messages(
    queries: Sequence[Query],
    tasks: Mapping[str, Task],
    strategy: str,
    prompter: Prompter | None,
) -> list[tuple[Mapping[str, Any], ...]]:
    if not parse_strategy(strategy).needs_bank:
        return plain_messages(queries, tasks, strategy)
    if prompter is None:
        msg = f"{strategy!r} needs a prompter with a bank of templates"
        raise ConfigError(msg, field="strategies")
    return prompter.messages(queries, tasks, strategy)

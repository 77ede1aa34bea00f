"""`fusionfactory think apply`: the messages that a model would get with templates."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusionfactory.cli.lines import INPUT, Line, read_lines
from fusionfactory.cli.output import console, short
from fusionfactory.errors import ConfigError, FormatError, InputError
from fusionfactory.evaluation import clean
from fusionfactory.thoughts.prompt import TOKEN_BUDGET
from fusionfactory.types import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from fusionfactory.config import Config
    from fusionfactory.tasks import Task
    from fusionfactory.thoughts.prompter import Block
    from fusionfactory.thoughts.search.finder import Found
    from fusionfactory.thoughts.strategy import Strategy

__all__ = ["command"]

_STRATEGY = "thought:3"


@click.command(
    "apply", epilog="Example: fusionfactory think apply --bank thoughts --show 'What is 7*8?'"
)
@click.argument("question", nargs=-1)
@click.option("--bank", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the templates.")  # fmt: skip
@click.option("--strategy", default=_STRATEGY, show_default=True,
              help="thought:K, few-shot:K, random:K, thought-judge:K, format ...")  # fmt: skip
@click.option("--task", help="Of questions that name none [found by the nearest templates].")
@click.option("--token-budget", type=click.IntRange(1), default=TOKEN_BUDGET, show_default=True,
              help="Of the templates in one prompt.")  # fmt: skip
@click.option("--show", is_flag=True, help="Say which templates are used, and where from.")
@click.option("--allow-endpoint", is_flag=True,
              help="Let the index's encoder use the endpoint that it names.")  # fmt: skip
@click.pass_obj
def command(
    config: Config,
    question: tuple[str, ...],
    bank: Path | None,
    strategy: str,
    task: str | None,
    token_budget: int,
    show: bool,
    allow_endpoint: bool,
) -> None:
    """Prints each question's messages with templates from the bank, as one JSON object per line.

    Questions are arguments, or lines on standard input: JSON objects with "query", "text" or
    "messages", perhaps with "id" and "task". A conversation keeps all its messages and their
    fields.
    """
    from fusionfactory.plan import known_tasks
    from fusionfactory.thoughts.prompter import Block, Prompter
    from fusionfactory.thoughts.strategy import parse_strategy

    told = parse_strategy(strategy)
    prompter = None
    if told.needs_bank:
        if bank is None:
            msg = f"the strategy {strategy!r} needs a bank: --bank FOLDER, or `bank` under [think]"
            raise ConfigError(msg, field="bank")
        prompter = Prompter.load(bank, token_budget=token_budget, network=allow_endpoint)
    lines = read_lines(question)
    queries = [_query(line, task) for line in lines]
    tasks = known_tasks(config, {query.task for query in queries})
    in_bank = prompter.finder.index.tasks if prompter else ()
    if task is not None and task not in tasks and task not in in_bank:
        has = ", ".join(in_bank) or "none"
        msg = f"no task {task!r} is known or in the settings; the bank has {has}"
        raise ConfigError(msg, field="task")
    blocks = prompter.blocks(queries, strategy) if prompter else [Block("", [])] * len(queries)
    asked = [
        _messages(line, query, tasks, told, block)
        for line, query, block in zip(lines, queries, blocks, strict=True)
    ]
    for query, messages, block in zip(queries, asked, blocks, strict=True):
        if show:
            _show(console(), query, messages, block)
        else:
            click.echo(json.dumps(_facts(query, messages, block), allow_nan=False))


def _query(line: Line, task: str | None) -> Query:
    own = _name(line, "task")
    identity = _name(line, "id") or hashlib.sha256(line.text.encode()).hexdigest()[:16]
    return Query(identity, line.text, own or task)


def _name(line: Line, field: str) -> str | None:
    name = getattr(line, field)
    if name is None or (isinstance(name, str) and name):
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    msg = f"{name!r:.200} is no name, expected a text"
    raise FormatError(msg, file=INPUT, row=line.row, field=field)


def _messages(
    line: Line, query: Query, tasks: Mapping[str, Task], told: Strategy, block: Block
) -> Sequence[Mapping[str, Any]]:
    """The line's conversation, or the task's prompt, with the block and the closing words."""
    from fusionfactory.tasks import plain_task
    from fusionfactory.thoughts.prompt import with_notes

    if line.messages is None:
        task = tasks.get(query.task or "") or plain_task(query.task)
        return with_notes(task.messages(query), block.text, told.closing)
    if not all(isinstance(m, dict) and isinstance(m.get("role"), str) for m in line.messages):
        msg = "expected JSON objects with a 'role'"
        raise FormatError(msg, file=INPUT, row=line.row, field="messages")
    for message in line.messages:
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            msg = f"content {content!r:.200} is neither a text nor a list of parts"
            raise FormatError(msg, file=INPUT, row=line.row, field="messages")
    try:
        json.dumps(line.messages, allow_nan=False)
    except ValueError:
        msg = "holds a number that is not finite, which JSON cannot carry"
        raise FormatError(msg, file=INPUT, row=line.row, field="messages") from None
    try:
        return with_notes(line.messages, block.text, told.closing)
    except InputError as error:
        raise FormatError(
            error.message, file=INPUT, row=line.row, field=error.field or "messages"
        ) from None


def _facts(query: Query, messages: Sequence[Mapping[str, Any]], block: Block) -> dict[str, Any]:
    used = [{"id": one.template.id, "similarity": clean(one.similarity)} for one in block.found]
    return {"id": query.id, "task": query.task, "messages": list(messages), "templates": used}


def _show(
    where: Console, query: Query, messages: Sequence[Mapping[str, Any]], block: Block
) -> None:
    where.print(short(query.text), style="bold", markup=False)
    if not block.found:
        where.print("no template is used")
    for number, found in enumerate(block.found, 1):
        where.print(f"{number}. {_provenance(found)}", style="cyan", markup=False, soft_wrap=True)
        where.print(f"   {found.template.text}", markup=False, soft_wrap=True)
    for message in messages:
        where.print(f"--- {message['role']}", style="cyan", markup=False)
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        where.print(text, markup=False, soft_wrap=True)


def _provenance(found: Found) -> str:
    template, similarity = found
    first = template.sources[0].query_id
    more = len(template.query_ids) - 1
    parts = [
        "drawn at random" if math.isnan(similarity) else f"similarity {similarity:.3f}",
        f"task {template.task}" if template.task else "of no task",
        f"from {first}" + (f" and {more} more" if more else ""),
        f"answered by {', '.join(dict.fromkeys(source.arm for source in template.sources))}",
        f"chosen by {' and '.join(template.criteria)}",
        f"written by {template.writer} ({template.prompt_version})",
    ]
    return "; ".join(parts)

"""The summariser: an LLM that writes notes on how questions of a kind are solved.

It is asked through the collector, into a store of its own, so a run that was killed goes on where
it stopped, and what notes cost is on record. Sentences that give the question's answer away, or
belong to this question alone, are left out of a note. Where too little remains, the note is asked
for once more, with word of what does not belong there, and dropped if that does not help.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfactory.calls import run_calls
from fusionfactory.clients import ChatRequest
from fusionfactory.collect import ArmCall, collect, interleaved
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.writing.asking import PROMPT_VERSION, messages, messages_again
from fusionfactory.thoughts.writing.general import general, particulars
from fusionfactory.thoughts.writing.tidy import shortened, spoken
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.calls import Progress, Runner, Summary
    from fusionfactory.clients import Client, Message
    from fusionfactory.pricing import CallPrice
    from fusionfactory.store import Store
    from fusionfactory.tasks import Task
    from fusionfactory.thoughts.leaks.check import Leak
    from fusionfactory.thoughts.writing.select import Selection
    from fusionfactory.types import Outcome

__all__ = ["Note", "Summariser", "Written", "write_notes"]

_PARAMS: Mapping[str, Any] = {"temperature": 0, "max_tokens": 160}
_CUT_OFF = "length"
_LEAST_CHARACTERS = 80
"""Of a note from which sentences are left out; a shorter one tells no method any more."""


@dataclass(frozen=True)
class Summariser:
    """A model that writes notes.

    Attributes:
        model: Its name at the endpoint.
        client: Makes its client, anew for each of the two rounds of calls: a round closes it.
        price: What a call costs.
        name: Of its arm in the store of notes; the model's name unless given.
        endpoint: The client's name in messages.
        params: Of the request, over temperature 0 and at most 160 tokens; None leaves one out.
    """

    model: str
    client: Callable[[], Client]
    price: CallPrice
    name: str = ""
    endpoint: str = "writer"
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.model)

    def call(self, selection: Selection, told: tuple[Message, ...]) -> ArmCall:
        """The call that asks for a note, of a query that stands for prompt and sources."""
        params = {**_PARAMS, **self.params}
        given = {name: value for name, value in params.items() if value is not None}
        source = selection.query
        facts = json.dumps([PROMPT_VERSION, source.id, selection.keys, told])
        query = Query(
            f"note:{hashlib.sha256(facts.encode()).hexdigest()[:32]}",
            str(told[-1]["content"]),
            source.task,
            source.domain,
        )
        request = ChatRequest(self.model, told, given)
        return ArmCall(query, Arm(self.name), request, self.endpoint, self.price)


@dataclass(frozen=True, slots=True)
class Note:
    """What came of one selection.

    Attributes:
        selection: What the note was to be written from.
        text: The note; empty where there is none to use.
        leaks: What the reply gave away, where it was dropped.
        again: Whether it was asked for twice.
        cut: Whether sentences are left out of it.
        error: What the call said that failed.
    """

    selection: Selection
    text: str = ""
    leaks: tuple[Leak, ...] = ()
    again: bool = False
    cut: bool = False
    error: str | None = None


@dataclass(frozen=True)
class Written:
    """Notes with what they cost.

    Attributes:
        notes: In the order of the selections.
        left: Selections whose calls were not made.
        rounds: What the collector did: asking, and perhaps asking again.
    """

    notes: tuple[Note, ...]
    left: int
    rounds: tuple[Summary, ...]


def write_notes(
    store: Store,
    by: Summariser,
    selections: Sequence[Selection],
    *,
    tasks: Mapping[str, Task] | None = None,
    budget_usd: float | None = None,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> Written:
    """Asks for notes, and for those that do not do once more.

    Args:
        store: Gets the calls as outcomes of queries of their own; what it holds is not asked again.
        by: Who writes.
        selections: What to write from; the tasks take turns.
        tasks: Name to task, for the form of the answers; none is told for other tasks.
        budget_usd: For all these notes, what the store holds of them included.
        retry_failed: Ask failed calls again.
        progress: Told after every write, of each round by itself.
        run: Makes the calls: in this process, or on a Ray cluster.

    Raises:
        ConfigError: A budget is given and the model has no known price.
        CallError: The endpoint refused: wrong key or unknown model.
        StoreError: The store cannot be written, or another run makes the same calls.
    """

    def ask(wanted: list[ArmCall]) -> tuple[Summary, dict[str, Outcome]]:
        done = collect(
            store,
            _in_turn(wanted),
            {by.endpoint: by.client()},
            budget_usd=budget_usd,
            retry_failed=retry_failed,
            progress=progress,
            run=run,
        )
        ids = {call.query.id for call in wanted}
        held = (o for o in store.outcomes() if o.arm == by.name and o.query_id in ids)
        return done, {outcome.query_id: outcome for outcome in held}

    known = tasks or {}
    calls = [by.call(s, messages(s, _instruction(s, known))) for s in selections]
    done, replies = ask(calls)
    rounds = [done]
    notes = [_note(s, replies.get(c.query.id)) for s, c in zip(selections, calls, strict=True)]
    again = {
        row: by.call(note.selection, _told_again(calls[row], replies[calls[row].query.id], note))
        for row, note in enumerate(notes)
        if note is not None and not note.text and note.error is None
    }
    if again and not done.stopped:
        paid = [c for c in calls if c.query.id in replies and not replies[c.query.id].error]
        done, replies = ask([*paid, *again.values()])
        rounds.append(done)
    else:
        replies = {}
    for row, call in again.items():
        notes[row] = _note(selections[row], replies.get(call.query.id), again=True)
    settled = tuple(note for note in notes if note is not None)
    return Written(settled, len(notes) - len(settled), tuple(rounds))


def _instruction(selection: Selection, tasks: Mapping[str, Task]) -> str:
    task = tasks.get(selection.query.task or "")
    return "" if task is None else task.instruction


def _in_turn(calls: Sequence[ArmCall]) -> list[ArmCall]:
    """Each call once, the tasks in turn."""
    by_id = {call.query.id: call for call in calls}
    return [by_id[query.id] for query in interleaved(call.query for call in by_id.values())]


def _told_again(call: ArmCall, reply: Outcome, note: Note) -> tuple[Message, ...]:
    said, query = _said(reply), note.selection.query
    return messages_again(
        call.request.messages, reply.response or "", note.leaks, particulars(said, query)
    )


def _said(reply: Outcome) -> list[str]:
    return spoken(reply.response or "", cut_off=reply.finish_reason == _CUT_OFF)


def _note(selection: Selection, reply: Outcome | None, *, again: bool = False) -> Note | None:
    """The note in a reply; None where the call was not made."""
    if reply is None:
        return None
    if reply.error is not None:
        return Note(selection, again=again, error=reply.error)
    said = _said(reply)
    kept = general(said, selection.query)
    text = shortened(kept)
    cut = len(kept) < len(said)
    if (cut and len(text) < _LEAST_CHARACTERS) or leaks(text, selection.query):
        found = tuple(leaks(" ".join(said), selection.query))
        return Note(selection, leaks=found, again=again)
    return Note(selection, text, again=again, cut=cut)

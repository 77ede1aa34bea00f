"""What the official `openai` client sees of a gateway, as JSON.

    PYTHON openai_calls.py BASE_URL KEY MODEL

Runs in the virtual environment of whichever version of the client is tried.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openai

TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "time")
]
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def _chat(client: openai.OpenAI, model: str) -> dict[str, Any]:
    asked: list[Any] = [
        {"role": "developer", "content": "Answer in one word."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is in it?"},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ]},
    ]  # fmt: skip
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=asked, n=2, logprobs=True, max_completion_tokens=9, seed=4
    )
    reply = raw.parse()
    names = ("x-request-id", "x-fusionfactory-arm", "x-fusionfactory-decision")
    first = reply.choices[0]
    return {
        "texts": [choice.message.content for choice in reply.choices],
        "finish": first.finish_reason,
        "logprob": first.logprobs.content[0].logprob if first.logprobs else None,
        "usage": reply.usage.total_tokens if reply.usage else None,
        "model": reply.model,
        "headers": {name: raw.headers.get(name) for name in names},
    }


def _stream(client: openai.OpenAI, model: str, *, usage: bool) -> dict[str, Any]:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Say it."}], stream=True, **more
        )
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return {
        "text": "".join(choice.delta.content or "" for choice in choices),
        "first_role": choices[0].delta.role,
        "ids": len({chunk.id for chunk in chunks}),
        "finish": [choice.finish_reason for choice in choices if choice.finish_reason],
        "usage_chunks": sum(chunk.usage is not None for chunk in chunks),
        "without_choices": sum(not chunk.choices for chunk in chunks),
    }


def _tools(client: openai.OpenAI, model: str) -> dict[str, Any]:
    asked: list[Any] = [{"role": "user", "content": "Weather and time in Oslo?"}]
    whole = client.chat.completions.create(model=model, messages=asked, tools=TOOLS)
    calls = whole.choices[0].message.tool_calls or []
    streamed: dict[int, dict[str, Any]] = {}
    finish = None
    for chunk in client.chat.completions.create(
        model=model, messages=asked, tools=TOOLS, stream=True
    ):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                seen = streamed.setdefault(call.index, {"names": [], "ids": [], "arguments": ""})
                function = call.function
                seen["names"] += [function.name] if function and function.name else []
                seen["ids"] += [call.id] if call.id else []
                seen["arguments"] += (function.arguments or "") if function else ""
    back = [
        *asked,
        whole.choices[0].message.model_dump(exclude_none=True),
        *({"role": "tool", "tool_call_id": call.id, "content": "3 degrees"} for call in calls),
    ]
    after = client.chat.completions.create(model=model, messages=back, tools=TOOLS)
    return {
        "finish": whole.choices[0].finish_reason,
        "names": [call.function.name for call in calls if call.type == "function"],
        "streamed_finish": finish,
        "streamed": [streamed[index] for index in sorted(streamed)],
        "after": after.choices[0].message.content,
    }


def _others(client: openai.OpenAI, model: str, embedder: str) -> dict[str, Any]:
    vectors = client.embeddings.create(model=embedder, input=["one", "two"])
    plain = client.embeddings.create(model=embedder, input="one", encoding_format="float")
    text = client.completions.create(model=model, prompt="Once upon")
    pieces = client.completions.create(model=model, prompt="Once upon", stream=True)
    reply = client.responses.create(model=model, instructions="Be brief.", input="Say it.")
    events = list(client.responses.create(model=model, input="Say it.", stream=True))
    listed = [item.id for item in client.models.list()]
    return {
        "embedded": [len(item.embedding) for item in vectors.data],
        "same": max(
            abs(a - b)
            for a, b in zip(vectors.data[0].embedding, plain.data[0].embedding, strict=True)
        ),
        "completion": text.choices[0].text,
        "completion_stream": "".join(piece.choices[0].text for piece in pieces if piece.choices),
        "response": reply.output_text,
        "response_status": reply.status,
        "events": [event.type for event in events],
        "event_text": "".join(
            event.delta for event in events if event.type == "response.output_text.delta"
        ),
        "models": listed,
        "one_model": client.models.retrieve(listed[0]).id,
    }


def _errors(client: openai.OpenAI, url: str, model: str) -> dict[str, Any]:
    def met(ask: Any) -> list[Any]:  # noqa: ANN401
        try:
            ask()
        except openai.APIStatusError as error:
            return [type(error).__name__, error.status_code, error.code, bool(error.request_id)]
        return ["no error"]

    asked: list[Any] = [{"role": "user", "content": "Hello"}]
    stranger = openai.OpenAI(base_url=url, api_key="ff-nobody", max_retries=0)
    create = client.chat.completions.create
    return {
        "unknown_model": met(lambda: create(model="no-such-model", messages=asked)),
        "no_messages": met(lambda: create(model=model, messages=[])),
        "bad_policy": met(
            lambda: create(
                model=model, messages=asked, extra_headers={"x-fusionfactory-policy": "greedy"}
            )
        ),
        "stranger": met(lambda: stranger.chat.completions.create(model=model, messages=asked)),
        "stateful": met(
            lambda: client.responses.create(model=model, input="x", previous_response_id="resp_1")
        ),
        "unknown_retrieve": met(lambda: client.models.retrieve("no-such-model")),
    }


def _main() -> None:
    url, key, model, embedder = sys.argv[1:5]
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    facts = {
        "version": openai.__version__,
        "chat": _chat(client, model),
        "stream": _stream(client, model, usage=False),
        "stream_usage": _stream(client, model, usage=True),
        "tools": _tools(client, model),
        "others": _others(client, model, embedder),
        "errors": _errors(client, url, model),
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    _main()

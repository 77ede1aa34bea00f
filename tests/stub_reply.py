"""What a model of the stub answers: whole, or in pieces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fusionfactory.conversation import user_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stub_upstream import Knobs, Served

__all__ = ["Reply"]


class Reply:
    """What a model answers to a chat or a completion, whole or in pieces."""

    def __init__(self, served: Served, knobs: Knobs) -> None:
        body = served.body
        self.is_chat = served.path == "chat/completions"
        self.knobs, self.body, self.model = knobs, body, served.model
        if self.is_chat:
            asked = user_text(body["messages"])
            self.prompt_tokens = len(json.dumps(body["messages"]).split())
            tools = body.get("tools") or []
            wants = body["messages"][-1].get("role") == "user" and body.get("tool_choice") != "none"
            self.tools = [t["function"]["name"] for t in tools if wants and knobs.calls_tools]
            if body.get("parallel_tool_calls") is False:
                del self.tools[1:]
        else:
            prompt = body["prompt"]
            asked = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
            self.prompt_tokens = len(asked.split())
            self.tools = []
        last = asked.rsplit("\n", 1)[-1]
        self.text = knobs.text if knobs.text is not None else f"{served.model} says: {last}"
        self.words = [word + " " for word in self.text.split(" ")]
        if self.words:
            self.words[-1] = self.words[-1][:-1]
        self.arguments = json.dumps({"query": last})
        self.choices = int(body.get("n") or 1)
        tokens = len(self.arguments.split()) * len(self.tools) if self.tools else len(self.words)
        self.answer_tokens = tokens * self.choices
        self.finish_reason = "tool_calls" if self.tools else "stop"

    def usage(self) -> dict[str, int]:
        sent, received = self.prompt_tokens, self.answer_tokens
        return {
            "prompt_tokens": sent,
            "completion_tokens": received,
            "total_tokens": sent + received,
        }

    def whole(self) -> dict[str, Any]:
        choices = []
        for index in range(self.choices):
            said: dict[str, Any]
            if not self.is_chat:
                said = {"text": self.text}
            elif self.tools:
                calls = [self._call(i) for i in range(len(self.tools))]
                message = {"role": "assistant", "content": None, "tool_calls": calls}
                said = {"message": message}
            else:
                said = {"message": {"role": "assistant", "content": self.text}}
            logprobs = self._logprobs(self.words)
            choices.append(
                {"index": index, **said, "logprobs": logprobs, "finish_reason": self.finish_reason}
            )
        usage = {} if self.knobs.usage == "never" else {"usage": self.usage()}
        kind = "chat.completion" if self.is_chat else "text_completion"
        return {**self._head(kind), "choices": choices, **usage}

    def chunks(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Each chunk, with the tokens in it."""
        deltas = list(self._deltas())
        for index in range(self.choices):
            for delta, tokens, words in deltas:
                yield self._chunk(index, delta, self._logprobs(words)), tokens
            last = self._chunk(index, {} if self.is_chat else {"text": ""}, None)
            last["choices"][0]["finish_reason"] = self.finish_reason
            if self._reports("last") and index == self.choices - 1:
                last["usage"] = self.usage()
            yield last, 0
        if self._reports("chunk"):
            yield {**self._head(self._kind()), "choices": [], "usage": self.usage()}, 0

    def _reports(self, where: str) -> bool:
        options = self.body.get("stream_options") or {}
        return bool(options.get("include_usage")) and self.knobs.usage == where

    def _deltas(self) -> Iterator[tuple[dict[str, Any], int, list[str]]]:
        if not self.is_chat:
            yield from (({"text": word}, 1, [word]) for word in self.words)
        elif not self.tools:
            yield {"role": "assistant", "content": ""}, 0, []
            yield from (({"content": word}, 1, [word]) for word in self.words)
        else:
            yield {"role": "assistant", "content": None}, 0, []
            for i in range(len(self.tools)):
                call = self._call(i)
                call["function"]["arguments"] = ""
                yield {"tool_calls": [{"index": i, **call}]}, 0, []
            half = len(self.arguments) // 2
            for piece in (self.arguments[:half], self.arguments[half:]):
                for i in range(len(self.tools)):
                    part = {"index": i, "function": {"arguments": piece}}
                    yield {"tool_calls": [part]}, len(piece.split()), []

    def _call(self, i: int) -> dict[str, Any]:
        function = {"name": self.tools[i], "arguments": self.arguments}
        return {"id": f"call_{i}", "type": "function", "function": function}

    def _chunk(self, index: int, delta: dict[str, Any], logprobs: Any) -> dict[str, Any]:  # noqa: ANN401
        said = {"delta": delta} if self.is_chat else delta
        choice = {"index": index, **said, "logprobs": logprobs, "finish_reason": None}
        return {**self._head(self._kind()), "choices": [choice]}

    def _kind(self) -> str:
        return "chat.completion.chunk" if self.is_chat else "text_completion"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-stub", "object": kind, "created": 1, "model": self.model}

    def _logprobs(self, words: list[str]) -> dict[str, Any] | None:
        if not (self.is_chat and self.body.get("logprobs")):
            return None
        content = [
            {"token": word, "logprob": -0.5, "bytes": list(word.encode()), "top_logprobs": []}
            for word in words
        ]
        return {"content": content, "refusal": None}

"""Texts of logs: conversations, answers, credentials, times."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fusionfactory.importers.logs.answers import Answer, error_text, read_answer
from fusionfactory.importers.logs.messages import answer_text, conversation, query_text
from fusionfactory.importers.logs.redaction import clean
from fusionfactory.importers.logs.spans import flat, nested
from fusionfactory.importers.logs.values import time_of

ASK = {"role": "user", "content": "a?"}
SYSTEM = {"role": "system", "content": "s"}
CALL = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, None),
        ("", None),
        ([], None),
        ({}, None),
        ("a?", "a?"),
        ('{"role": "user", "content": "a?"}', "a?"),
        ('[{"role": "user", "content": "a?"}]', "a?"),
        ("[1, 2]: sum?", "[1, 2]: sum?"),
        ("[1, 2]", "[1, 2]"),
        ('{"x": 1}', '{"x": 1}'),
        ({"question": "ä"}, '{"question": "ä"}'),
        ([ASK], "a?"),
        ([[ASK]], "a?"),
        (["a?"], "a?"),
        ({"messages": [SYSTEM, ASK]}, "a?"),
        ({"input": "a?", "instructions": "s"}, "a?"),
        ({"contents": [{"role": "user", "parts": [{"text": "a?"}]}]}, "a?"),
        ([SYSTEM, {"role": "developer", "content": "d"}, ASK], "a?"),
        ([SYSTEM], "s"),
        ([ASK, {"role": "user", "content": "b?"}], "a?\n\nb?"),
        ([ASK, {"role": "assistant", "content": "x"}, ASK], "User: a?\n\nAssistant: x\n\nUser: a?"),
        (
            [{"role": "human", "content": "a?"}, {"role": "ai", "content": "x"}],
            "User: a?\n\nAssistant: x",
        ),
        (
            [
                ASK,
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "r"},
            ],
            'User: a?\n\nAssistant: [calls f({"x": 1})]\n\nTool: r',
        ),
        (
            [
                ASK,
                {
                    "role": "assistant",
                    "content": "",
                    "function_call": {"name": "f", "arguments": "{}"},
                },
                {"role": "function", "name": "f", "content": "r"},
            ],
            "User: a?\n\nAssistant: [calls f({})]\n\nTool: r",
        ),
        (
            [
                ASK,
                {"type": "function_call", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "output": "r"},
            ],
            "User: a?\n\nAssistant: [calls f({})]\n\nTool: r",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "content": [{"type": "text", "text": "r"}]}
                    ],
                }
            ],
            "r",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "a?"},
                        {"type": "input_image"},
                        {"type": "input_audio"},
                        {"type": "file"},
                        {"type": "odd"},
                    ],
                }
            ],
            "a?\n[image]\n[audio]\n[file]\n[odd]",
        ),
        (
            [{"role": "user", "parts": [{"type": "blob", "modality": "video", "content": "AAAA"}]}],
            "[video]",
        ),
        ([{"role": "user", "content": 7}], "7"),
        ([{"role": "user", "content": [None, "a?"]}], "null\na?"),
    ],
)
def test_the_text_of_a_query(given: object, text: str | None) -> None:
    assert query_text(conversation(given)) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, None),
        ("", ""),
        ("b", "b"),
        ([], None),
        ({"role": "assistant", "content": None}, ""),
        ({"role": "assistant", "content": None, "refusal": "no"}, ""),
        (
            [
                {"type": "reasoning", "summary": []},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "b"},
                        {"type": "refusal", "refusal": "no"},
                    ],
                },
            ],
            "b\nno",
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}],
            },
            "b",
        ),
    ],
)
def test_the_text_of_an_answer(given: object, text: str | None) -> None:
    assert answer_text(given) == text


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (None, Answer()),
        ("b", Answer("b")),
        ('{"x": 1}', Answer('{"x": 1}')),
        ([ASK], Answer("a?")),
        ({"id": "1"}, Answer()),
        ({"choices": []}, Answer()),
        ({"choices": [{"text": "b", "finish_reason": "stop"}]}, Answer("b", "stop")),
        ('{"choices": [{"message": {"content": "b"}}], "model": "m"}', Answer("b", model="m")),
        (
            {
                "output": [{"role": "assistant", "content": "b"}],
                "status": "completed",
                "usage": {"input_tokens": 2, "output_tokens": 1},
                "created_at": 5,
            },
            Answer("b", "completed", None, 2, 1, 5),
        ),
        (
            {
                "output": [],
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            },
            Answer(None, "max_output_tokens"),
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "b"}],
                "stop_reason": "end_turn",
            },
            Answer("b", "end_turn"),
        ),
        ({"error": {"code": 429, "message": "slow"}}, Answer(error="429: slow")),
    ],
)
def test_bodies(body: object, answer: Answer) -> None:
    assert read_answer(body) == answer


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, None), ({}, None), ("bad", "bad"), ({"type": "t", "message": "m"}, "t: m"),
        ('{"message": "m"}', "m"), ({"other": 1}, None),
    ],
)  # fmt: skip
def test_errors_of_an_api(error: object, text: str | None) -> None:
    assert error_text(error) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Where is it?", "Where is it?"),
        ("key sk-proj-Ab1_cd-2345 bad", "key [redacted] bad"),
        ("sk-1234", "[redacted]"),
        ("provided: sk-abc1***********wxyz.", "provided: [redacted]."),
        ("use sk-learn and a desk-1200", "use sk-learn and a desk-1200"),
        ("pk-lf-12ab34cd and sk_live_12ab34cd", "[redacted] and [redacted]"),
        ("Authorization: Bearer abcdefg1", "Authorization: Bearer [redacted]"),
        ("authorization: Basic dXNlcjpwYXNz1", "authorization: Basic [redacted]"),
        ('{"api_key": "0123456789abcdef"}', '{"api_key": "[redacted]"}'),
        ("x-api-key=abcd1234", "x-api-key=[redacted]"),
        ("the bearer of news, bearer instruments", "the bearer of news, bearer instruments"),
        ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
        ("ghp_0123456789012345678901234567890123456", "[redacted]"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "[redacted]"),
        ("a\x00b\ud83d", "ab?"),
    ],
)  # fmt: skip
def test_credentials_are_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00Z", "2026-03-01 12:00:00", "2026-03-01T13:00:00+01:00", 1772366400,
        "1772366400", 1772366400000, 1772366400000000, "1772366400000000000",
        datetime(2026, 3, 1, 12, tzinfo=UTC),
    ],
)  # fmt: skip
def test_times(value: Any) -> None:  # noqa: ANN401
    assert time_of(value, Path("x"), 1, "t") == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_dotted_names() -> None:
    deep = {"a": {"b": [{"c": {"d": 1}}], "e": {}}, "f": 2}
    assert flat(deep) == {"a.b": [{"c": {"d": 1}}], "a.e": {}, "f": 2}
    dotted = {"a.0.c.d": 1, "a.1.c": 2, "a.10.c": 4, "a.2.c": 3, "f": 2, "g": {"x.y": 5}, "g.z": 6}
    assert nested(dotted) == {
        "a": [{"c": {"d": 1}}, {"c": 2}, {"c": 3}, {"c": 4}], "f": 2, "g": {"x": {"y": 5}, "z": 6}
    }  # fmt: skip

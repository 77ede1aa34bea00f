"""What LangChain's `ChatOpenAI` sees of a gateway, as JSON.

PYTHON langchain_calls.py BASE_URL KEY MODEL
"""

from __future__ import annotations

import json
import sys

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr


def weather(query: str) -> str:
    """The weather in a place."""
    return f"3 degrees: {query}"


def _main() -> None:
    url, key, model = sys.argv[1:4]
    chat = ChatOpenAI(base_url=url, api_key=SecretStr(key), model=model, max_retries=0)
    asked = [SystemMessage("Be brief."), HumanMessage("Say it.")]
    answer = chat.invoke(asked)
    chunks = list(chat.stream(asked))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    bound = chat.bind_tools([StructuredTool.from_function(weather)])
    call = bound.invoke([HumanMessage("Weather?")])
    done = [
        HumanMessage("Weather?"),
        call,
        *(ToolMessage("3 degrees", tool_call_id=c["id"]) for c in call.tool_calls),
    ]
    facts = {
        "text": answer.content,
        "usage": answer.usage_metadata and answer.usage_metadata["total_tokens"],
        "streamed": whole.content,
        "streamed_usage": whole.usage_metadata and whole.usage_metadata["total_tokens"],
        "calls": [[c["name"], c["args"]] for c in call.tool_calls],
        "after": bound.invoke(done).content,
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    _main()

"""What LlamaIndex's `OpenAILike` sees of a gateway, as JSON.

PYTHON llama_index_calls.py BASE_URL KEY MODEL
"""

from __future__ import annotations

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike


def _main() -> None:
    url, key, model = sys.argv[1:4]
    chat = OpenAILike(api_base=url, api_key=key, model=model, is_chat_model=True, max_retries=0)
    asked = [ChatMessage(role="system", content="Be brief."), ChatMessage(content="Say it.")]
    text = OpenAILike(api_base=url, api_key=key, model=model, is_chat_model=False, max_retries=0)
    facts = {
        "text": chat.chat(asked).message.content,
        "streamed": "".join(piece.delta or "" for piece in chat.stream_chat(asked)),
        "completion": text.complete("Once upon").text,
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    _main()

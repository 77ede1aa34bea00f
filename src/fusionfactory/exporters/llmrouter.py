"""LLMRouter: a folder with query JSONL, routing JSONL and LLM JSON.

LLMRouter's own fields carry queries, scores, tokens, responses and prices. The rest (`llm_judge`,
`cost_usd`, `split`, `domain`, `task_description`) stands in further fields, which it ignores.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.atomic import write_atomically
from fusionfactory.layout import to_fusionbench

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

__all__ = ["LLM_FILE", "QUERY_FILE", "ROUTING_FILE", "write"]

QUERY_FILE = "query_data.jsonl"
ROUTING_FILE = "routing_data.jsonl"
LLM_FILE = "llm_candidates.json"


def write(table: OutcomeTable, path: Path) -> None:
    """Writes `query_data.jsonl`, `routing_data.jsonl` and `llm_candidates.json` into a folder."""
    long = table.to_long()
    micro = to_fusionbench(long)
    ids = long["query_id"]
    order = pl.DataFrame({"query_id": table.queries["query_id"]}).with_row_index("embedding_id")
    positions = ids.to_frame("query_id").join(
        order, on="query_id", maintain_order="left", how="left"
    )
    shared = {
        "task_name": micro["task_name"],
        "query": long["query"],
        "ground_truth": long["target"],
        "metric": long["metric"],
        "task_id": micro["task_id"],
        "split": long["split"],
        "domain": long["domain"],
        "task_description": long["description"],
    }
    queries = pl.DataFrame({**shared, "id": ids}).unique("id", keep="first", maintain_order=True)
    queries = queries.drop("id").with_columns(choices=pl.lit(None, dtype=pl.String))
    routing = pl.DataFrame(
        {
            **shared,
            "model_name": micro["llm"],
            "response": long["response"],
            "token_num": long["input_tokens"] + long["output_tokens"],
            "input_tokens": micro["input_tokens_num"],
            "output_tokens": micro["output_tokens_num"],
            "response_time": long["latency_s"],
            "performance": long["quality"],
            "embedding_id": positions["embedding_id"],
            "llm_judge": long["judge"],
            "cost_usd": micro["cost"] / 1e6,
        }
    )
    if table.has_logprobs:
        routing = routing.with_columns(long["logprob"])
    llms = {
        name: {
            "size": None,
            "feature": arm.description,
            "input_price": arm.input_price,
            "output_price": arm.output_price,
            "model": arm.model,
            "service": None,
            "api_endpoint": None,
        }
        for name, arm in zip(_llm_names(long, micro, table), table.arms, strict=True)
    }
    text = json.dumps(llms, indent=2, ensure_ascii=False)
    write_atomically(path / QUERY_FILE, queries.write_ndjson)
    write_atomically(path / LLM_FILE, lambda file: file.write_text(text, encoding="utf-8"))
    write_atomically(path / ROUTING_FILE, routing.write_ndjson)


def _llm_names(long: pl.DataFrame, micro: pl.DataFrame, table: OutcomeTable) -> list[str]:
    names = dict(zip(long["arm"], micro["llm"], strict=True))
    return [names[name] for name in table.arm_names]

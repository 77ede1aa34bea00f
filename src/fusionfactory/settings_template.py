"""The commented `fusionfactory.toml` that `fusionfactory init` writes."""

from __future__ import annotations

__all__ = ["TEMPLATE"]

TEMPLATE = """\
# FusionFactory settings. A flag on the command line counts before an environment variable
# (FUSIONFACTORY_EVALUATE_SEEDS=3), which counts before this file. Secrets never stand here: name
# the environment variable that holds them.

# Where outcomes are kept: a SQLite file, or postgresql://user@host/database.
store = "runs.db"

# Who can be asked. Any OpenAI-compatible URL.
# [[endpoints]]
# name = "openai"
# base_url = "https://api.openai.com/v1"
# api_key_env = "OPENAI_API_KEY"
# concurrency = 16
# requests_per_minute = 500

# The models there, and how they are asked. Prices are USD per million tokens; without them the
# public price list counts, and where that knows nothing the cost stays unknown.
# [[models]]
# name = "gpt-4o-mini"
# endpoint = "openai"
# strategies = ["direct", "think"]
# params = { temperature = 0.0, max_tokens = 1024 }

# A model in a GGUF file runs in this process (extra `local`).
# [[models]]
# name = "smollm2"
# gguf = "models/SmolLM2-135M-Instruct.Q4_1.gguf"

# What they are asked: a task of FusionBench with its source (package, hub:train or a path) ...
# [[tasks]]
# name = "gsm8k"
# source = "hub:train"
# test_source = "hub:test"

# ... or questions of your own: JSONL, CSV or Parquet with `question` and `target`.
# [[tasks]]
# name = "support"
# path = "questions.jsonl"
# metric = "contains"
# instruction = "Answer in one sentence."

[collect]
# Questions of each task, drawn by the seed; none is in both. Unset: FusionBench's sizes, or all
# there are.
# train = 50
# test = 20
seed = 0
# Answers per question and arm.
samples = 1
# No call starts once all of them have cost this much.
# budget_usd = 5.0

[judge]
# Who judges: a model from above; one that is to judge alone has `strategies = []`.
# model = "gpt-4o"
# budget_usd = 5.0

[think]
# The folder of thought templates. `think build` and `think index` write it; a model above may have
# the strategies thought:K, thought-judge:K, few-shot:K and random:K, which show K of it.
bank = "thoughts"
# Who writes the templates: a model from above, or extractive, which needs no model.
writer = "extractive"
# Which right answers are the best: performance, judge, hybrid. Each has templates of its own.
criterion = ["performance"]
# Only answers of these arms.
# source_arm = ["gpt-4o-mini", "gpt-4o-mini|think"]
# budget_usd = 5.0
# Finds similar questions, as under [evaluate]; an endpoint gets questions only if that is allowed.
encoder = "text"
# allow_endpoint = true
# What `think apply` shows, and how long templates in a prompt, of collect too, may be.
strategy = "thought:3"
token_budget = 1000

[distill]
# The model that students are made of: its name among the models above, and its weights for
# `distill train` (a GGUF file, a Hugging Face folder, or a name on the hub).
# before = "smollm2"
# base = "models/SmolLM2-135M-Instruct.Q4_1.gguf"
# Which answers it learns: best, or the paper's performance, judge, hybrid, label.
criterion = "best"
top_k = 5
# Only answers of these arms or models.
# source_arm = ["gpt-4o-mini"]
# How students are asked.
strategy = "direct"
# The student of the labels alone, and the one that was settled on before its outcomes were seen.
# control = "smollm2-label"
# recommended = "smollm2-best"

[evaluate]
# Routers to compare; `fusionfactory evaluate --help` lists them.
router = [
    "stack", "trees", "ridge", "knn", "clusters", "factor", "mlp", "svm", "elo", "task",
    "knn-paper", "svm-paper", "mlp-paper",
]
# Trade-offs: performance, balance, cost, judge, price:USD_PER_POINT, budget:USD_PER_1000_QUERIES,
# each with an optional ,max:USD_PER_QUERY.
scenario = ["performance", "balance", "cost", "judge"]
# Splits to average over.
seeds = 1
# text needs no model; or minilm, static, hashing, st:NAME, endpoint:MODEL@URL, or minilm+text.
encoder = "text"
# Share of the queries that routers are tested on.
test_share = 0.3
# Arms that are scored on a smaller share of the queries are left out.
min_coverage = 0.9

[fit]
router = "stack"
encoder = "text"
seed = 0
# Share of the queries held out to measure the router and what each price of quality spends.
holdout = 0.2

[route]
# A trade-off as above. Unless it is set, a router that was fitted under one policy decides by that,
# any other by performance.
# policy = "balance"
"""

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
# Ask for the log-probabilities of its tokens; plans read from them how sure it was [false].
# logprobs = true
# For the gateway: what it can beyond plain text, of tools, images, json, logprobs and n [all]; its
# longest prompt and answer together [any]; whether it serves embeddings instead of chats.
# can = ["tools", "json"]
# window_tokens = 128000
# embeds = false

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
    "stack", "trees", "ridge", "kernel", "knn", "clusters", "factor", "mlp", "svm", "elo", "task",
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

[scale]
# Where collect, score, judge, think build and evaluate do their work: local, or ray for a cluster.
engine = "local"
# The cluster: auto for the one this machine belongs to, or host:port [started on this machine].
# address = "auto"
# Processes that work at a time [one per two CPUs of the cluster].
# workers = 8
# Folder, or URL of a bucket, that every node reaches: work is laid out there [beside the store].
# shards = "s3://bucket/folder"
shard_rows = 1000

[serve]
# The gateway: an OpenAI-compatible endpoint whose model `auto` is whichever arm fits best. Who
# answers are the models above with their strategies; what is kept goes into the store.
host = "127.0.0.1"
port = 8377
# Processes that answer; one per core is enough.
workers = 1
# Folder of router versions, journals and client keys.
state = "gateway"
# Whether clients need a key: required, off, or auto (unless the host is loopback).
keys = "auto"
# Whether keys, budgets, rates and versions of the router are those of all gateways of one store or
# this machine's alone: store, machine, or auto (store where that is PostgreSQL).
shared = "auto"
max_body_bytes = 20971520
# Requests at a time per worker; more get 503.
max_concurrency = 1000
# Seconds that requests under way get when a worker stops.
drain_s = 30.0
# Structured log on standard error: debug, info (a line per request), warning or error; prompts and
# answers are shown only if that is allowed.
log_level = "info"
log_prompts = false
# Whether / serves the dashboard.
dashboard = true

[serve.routing]
# The trade-offs, as above, behind the names auto, auto:cheap, auto:balanced and auto:best.
auto = "balance"
cheap = "cost"
balanced = "balance"
best = "performance"
# A plan of [[serve.plans]] that `auto` runs where answers can be compared [the router decides].
# plan = "careful"
# Answers where the router cannot [the cheapest arm that can].
# default_arm = "gpt-4o-mini"
# Expected quality by which another arm must be better before a conversation leaves its own.
switch_cost = 0.05
session_ttl_s = 3600.0
# Seconds after which the default arm answers instead of the router's choice.
decide_within_s = 1.0
# Folder of `think evaluate --gates`, for models with the strategy `gated`.
# gates = "gates"

# A plan asks several arms and answers by what they agree on: `fit --plan` makes it, and clients
# name it as a model. `allow_endpoint` lets its encoder send questions to the endpoint it names.
# [[serve.plans]]
# name = "careful"
# path = "plan"
# allow_endpoint = false

[serve.upstream]
# Seconds to connect, to the first byte, between two pieces of a stream, of a whole request.
connect_s = 5.0
first_byte_s = 60.0
idle_s = 60.0
deadline_s = 600.0
# Longest pause, asked for by an endpoint, for which a client is kept waiting.
pause_s = 30.0
# Calls at most before the first byte, of all arms together.
attempts = 4
# Failures in a row after which an endpoint's model is left alone, and for how many seconds.
breaker_failures = 5
breaker_open_s = 10.0
# Seconds without a first byte after which the next arm is asked as well [never].
# hedge_after_s = 2.0

[serve.log]
# full keeps prompts and answers, hash their SHA-256 alone, none neither.
texts = "full"
# What these regular expressions match is replaced before it is kept.
redact = []
# Older requests are deleted [kept].
# retention_days = 90.0
# Records that may wait to be written; then shed (answer without a record) or refuse (503).
queue = 10000
when_full = "shed"
# Seconds for which an answer's end waits until its record is written.
wait_s = 0.25

[serve.exploration]
# none, epsilon (any arm with probability `share`) or thompson (as often as an arm may be best).
method = "none"
share = 0.05
# What such choices may cost per day beyond the best arm's [any amount].
# usd_per_day = 1.0

[serve.judge]
# Who grades a sample of the answers: a model from above [nobody].
# model = "gpt-4o"
share = 0.05
# usd_per_day = 1.0

[serve.alarms]
# Latest decisions looked at; the share of one arm, the normalised entropy of the shares, the gap of
# expected and observed quality, and the shift of the questions (PSI) that raise an alarm.
window = 1000
top_share = 0.97
entropy = 0.1
calibration = 0.1
psi = 0.25

[serve.cache]
# Answers kept per worker [0: none], and how long. One is given again where a client's request is
# the same but for what cannot change it, and its temperature is 0; embeddings always.
entries = 0
ttl_s = 300.0
"""

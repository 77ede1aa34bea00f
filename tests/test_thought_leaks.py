"""Leaks: what gives an answer away, and what any note may say."""

from __future__ import annotations

import pytest

from fusionfactory.thoughts.leaks.check import leaks
from fusionfactory.thoughts.leaks.spelled import spelled
from fusionfactory.types import Query

ROBE = Query("q", "A robe takes 600 bolts twice. How many bolts?", "gsm8k", "math",
             "They add up.\n#### 1200", "number")  # fmt: skip
SMALL = Query("q", "How many bolts?", "gsm8k", "math", "# 3", "GSM8K")
BANK = Query(
    "q",
    "Where does a revolving door serve as security?\n(A) bank\n(B) the old library of the town\n"
    "(C) mall\n(D) all of the above",
    "commonsense_qa", "commonsense", "A", "em_mc",
)  # fmt: skip
LIBRARY = Query("q", BANK.text, "commonsense_qa", "commonsense", "(B)", "multiple_choice")
ALL = Query("q", BANK.text, "commonsense_qa", "commonsense", "D", "multiple_choice")
TUBULES = Query(
    "q",
    "What keeps the stomach from being digested?\n(A) Fat surrounds it\n"
    "(B) The mucus layer and the continual replacement of cells lining it protect the tissues\n",
    "mmlu_pro", "health", "B", "em_mc",
)  # fmt: skip
YEARS = Query("q", "How old?\n(A) 20 years\n(B) 1,250 years", "mmlu", "popular", "B", "em_mc")
NOVEL = Query("q", "who wrote it", "natural_qa", "world",
              '["Gabriel Garcia Marquez", "the Beatles"]', "cem")  # fmt: skip
ROOT = Query("q", "Simplify.", "math", "math", r"\frac{\sqrt{3}}{2} + x", "math")
PASSAGE = Query("q", "Is it legal?\nPassage", "boolq", "reading", "yes", "contains")
DATE = Query("q", "when did it end", "natural_qa", "world", "14 December 1972 UTC", "contains")
CODE = Query("q", "Add two numbers.", "mbpp", "code", "assert add(1, 2) == 3", "code")
LITERAL = Query("q", "assert f() == ??", "cruxeval", "cruxeval", "'cifysu'", "em")
RETURNS = Query("q", "assert f() == ??", "cruxeval", "cruxeval", "False", "em")
NOTHING = Query("q", "assert f() == ??", "cruxeval", "cruxeval", "{}", "em")
ACID = Query("q", "Which acid?\n(A) HF\n(B) HI\n(C) none of it", "mmlu", "popular", "B", "em_mc")
BOYLE = Query("q", "T_B?\n(A) T_B = (a / bR)\n(B) T_B = ab", "mmlu", "popular", "A", "em_mc")
SIGN = Query("q", "which sign", "signs", "own", "<=", "em")
OPEN = Query("q", "Write a poem.", "poems", "own", None, "judge")

LEAKING = [
    (ROBE, "Multiply first, so you get 1,200 in the end.", "number"),
    (ROBE, "The total comes to 1200.00 bolts.", "number"),
    (ROBE, "It is twelve hundred, or one thousand two hundred.", "number"),
    (ROBE, "Then the answer is 900.", "answer"),
    (ROBE, r"End with \boxed{900}.", "answer"),
    (ROBE, "End with #### 900", "answer"),
    (SMALL, "Add the halves, which gives three bolts.", "number"),
    (SMALL, "2 and a half of 2 make 3.", "number"),
    (BANK, "Security points to (A).", "option"),
    (BANK, "Eliminate the others and take option A.", "option"),
    (BANK, "A is correct because of the vault.", "option"),
    (BANK, "The answer is A", "option"),
    (BANK, "Weigh them up.\nA. It fits", "option"),
    (BANK, "Such doors are found in a bank.", "option"),
    (BANK, "The answer is (C).", "answer"),
    (LIBRARY, "Think of the old library of the town.", "option"),
    (LIBRARY, "Think of an old library of the town.", "option"),
    (LIBRARY, "Choose letter B.", "option"),
    (ALL, "Therefore all of the above.", "answer"),
    (TUBULES, "Recall that the mucus and replaced cells: the layer, its continual replacement of "
              "the lining protects tissue.", "option"),
    (BANK, "It is not the old library of the town, a mall, or all of the above.", "option"),
    (YEARS, "It took 1250 years.", "option"),
    (NOVEL, "Recall that Gabriel García Márquez wrote it.", "target"),
    (NOVEL, "Recall the band: Beatles.", "target"),
    (NOVEL, "So the answer is Hemingway.", "answer"),
    (ROOT, r"Simplify to $\frac{\sqrt{3}}{2} + x$.", "target"),
    (PASSAGE, "Read it; the answer is yes.", "answer"),
    (PASSAGE, "Yes, the passage says so.", "answer"),
    (DATE, "The mission ended on 14 December 1972 UTC.", "target"),
    (DATE, "It was December 14, 1972.", "target"),
    (CODE, "Write:\ndef add(a, b):\n    return a + b", "answer"),
    (LITERAL, "Drop the prefix, leaving cifysu.", "target"),
    (LITERAL, 'The result is "cify".', "answer"),
    (RETURNS, "It has an odd letter, so the function returns False.", "answer"),
    (RETURNS, "It will return False when executed with these inputs.", "answer"),
    (RETURNS, "So it is False here.", "answer"),
    (ACID, "Among the acids, HI is the strongest.", "option"),
    (ACID, "So it is B in the end.", "option"),
    (BOYLE, "Formula: T = a/bR.", "option"),
    (NOTHING, "When there is no key, nothing is added, so the function returns an empty one.",
     "answer"),
    (NOTHING, "Every key goes; return an empty dictionary.", "answer"),
    (SIGN, "Use the sign <= here.", "target"),
    (OPEN, "The answer is 12.", "answer"),
]  # fmt: skip

GENERAL = "Read the options (A) to (D), rule out what does not fit, and end with a letter in ( )."
CLEAN = [
    (ROBE, "Work out each part, double where it says twice, then add up; end with one number."),
    (ROBE, "Write the final number after ####, or in \\boxed{}."),
    (ROBE, "The answer is a single number. Do it in two steps."),
    (SMALL, "1. Read. 2. Halve. 3. Add up. It takes three steps; in step 3 add x^3."),
    (BANK, GENERAL),
    (BANK, "Answer with one letter, A, B, C or D, in parentheses. A good test is what fits best."),
    (BANK, "End with: the answer is (X), where X is the letter."),
    (BANK, "Option by option, ask for the purpose. Vitamin C and plan B are no letters here."),
    (LIBRARY, "Ask which old place would need it; the best option names a place of value."),
    (LIBRARY, "Answer with (A), (B), (C) or (D)."),
    (ALL, "Check whether all of them hold above all else."),
    (TUBULES, "Name the mechanism, then eliminate options that contradict it."),
    (YEARS, "Convert the ages to years and compare them with all options."),
    (NOVEL, "Recall the author by the period; answer with the name only."),
    (ROOT, r"Rationalise the denominator and give the expression in \boxed{answer}."),
    (PASSAGE, "Find the sentence on the topic and answer yes or no."),
    (PASSAGE, "The answer is yes or no. If the passage says no such thing, read on."),
    (PASSAGE, "The answer should be true/false."),
    (DATE, "Find the event, then give day, month and year."),
    (CODE, "Loop over the list and return the sum in a code block."),
    (LITERAL, "Go through the loop by hand and write the literal, quotes included."),
    (RETURNS, "Check every letter; the function returns False if one is no letter."),
    (ACID, "Say hi to the strongest acid; in series C it is a base."),
    (BOYLE, "Set the second coefficient to zero and solve for T."),
    (NOTHING, "Go through the keys; if the input is empty, nothing happens."),
    (SIGN, "Compare both sides and give the sign."),
    (OPEN, "The result should be vivid. The answer is a poem."),
]


@pytest.mark.parametrize(("query", "text", "kind"), LEAKING)
def test_what_gives_the_answer_away(query: Query, text: str, kind: str) -> None:
    assert kind in {leak.kind for leak in leaks(text, query)}


@pytest.mark.parametrize(("query", "text"), CLEAN)
def test_what_any_note_may_say(query: Query, text: str) -> None:
    assert leaks(text, query) == []


def test_a_leak_says_what_was_found() -> None:
    found = leaks("So it is 1,200. The answer is 1,200.", ROBE)
    assert [(leak.kind, leak.found) for leak in found] == [
        ("answer", "answer is 1,200."),
        ("number", "1,200"),
    ]


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (0, ("zero",)),
        (17, ("seventeen",)),
        (42, ("forty two",)),
        (305, ("three hundred five", "three hundred and five")),
        (1200, ("one thousand two hundred",)),
        (-1, ()),
        (1_000_000, ()),
    ],
)
def test_numbers_in_words(number: int, names: tuple[str, ...]) -> None:
    assert spelled(number) == names

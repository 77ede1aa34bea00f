"""Generators of questions that need calculation: each returns a query and its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facts import FIRST_NAMES, ITEMS, MONTHS, WEEKDAYS, WORDS

if TYPE_CHECKING:
    import random


def arithmetic(rng: random.Random) -> tuple[str, str]:
    """Draw a calculation with two or three whole numbers."""
    kind = rng.randrange(8)
    if kind == 0:
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        text, value = f"{a} + {b}", a + b
    elif kind == 1:
        a, b = rng.randint(11, 99), rng.randint(11, 99)
        text, value = f"{a} + {b}", a + b
    elif kind == 2:
        b, c = rng.randint(11, 60), rng.randint(11, 60)
        text, value = f"{b + c} - {b}", c
    elif kind == 3:
        a, b = rng.randint(3, 12), rng.randint(3, 12)
        text, value = f"{a} * {b}", a * b
    elif kind == 4:
        a, b = rng.randint(12, 99), rng.randint(3, 29)
        text, value = f"{a} * {b}", a * b
    elif kind == 5:
        a, b = rng.randint(3, 15), rng.randint(3, 15)
        text, value = f"{a * b} / {a}", b
    elif kind == 6:
        a, b, c = rng.randint(3, 20), rng.randint(3, 12), rng.randint(3, 12)
        text, value = f"{a} + {b} * {c}", a + b * c
    else:
        a, b, c = rng.randint(100, 900), rng.randint(100, 900), rng.randint(10, 99)
        text, value = f"{a} + {b} - {c}", a + b - c
    return f"What is {text}? The answer is a number.", str(value)


def word_problem(rng: random.Random) -> tuple[str, str]:
    """Draw a short story about quantities."""
    name, other = rng.sample(FIRST_NAMES, 2)
    item = rng.choice(ITEMS)
    a, b, c = rng.randint(5, 30), rng.randint(2, 9), rng.randint(2, 9)
    kind = rng.randrange(7)
    if kind == 0:
        story = f"{name} has {a} {item} and gets {b} more from {other}. "
        story += f"How many {item} does {name} have now?"
        value = a + b
    elif kind == 1:
        story = f"{name} has {a + b + c} {item}, gives {b} to {other} and loses {c}. "
        story += f"How many {item} are left?"
        value = a
    elif kind == 2:
        story = f"{name} buys {b} boxes with {c} {item} each. How many {item} is that?"
        value = b * c
    elif kind == 3:
        story = f"{name} buys {b} boxes with {c} {item} each and already had {a} {item}. "
        story += f"How many {item} does {name} have in all?"
        value = a + b * c
    elif kind == 4:
        story = f"{b} friends share {b * c} {item} equally. How many {item} does each friend get?"
        value = c
    elif kind == 5:
        story = f"A ticket costs {c} dollars. {name} pays for {b} tickets with a 100 dollar note. "
        story += "How many dollars does the change come to?"
        value = 100 - b * c
    else:
        story = f"{name} reads {c} pages a day. After {b} days {other} has read twice as many "
        story += f"pages as {name}. How many pages have they read together?"
        value = 3 * b * c
    return f"{story} The answer is a number.", str(value)


def code_output(rng: random.Random) -> tuple[str, str]:
    """Draw a Python snippet; its output is computed here, not by running text."""
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    word = rng.choice(WORDS)
    numbers = [rng.randint(1, 20) for _ in range(rng.randint(3, 5))]
    index = rng.randrange(len(numbers))
    cases = (
        (f"x = {a}\ny = x + {b}\nprint(y * 2)", str((a + b) * 2)),
        (f"print('{word}'.upper())", word.upper()),
        (f"print(len('{word}'))", str(len(word))),
        (f"print(sum({numbers}))", str(sum(numbers))),
        (f"print(max({numbers}) - min({numbers}))", str(max(numbers) - min(numbers))),
        (f"a = {numbers}\nprint(a[{index}])", str(numbers[index])),
        (f"print(sorted({numbers}))", str(sorted(numbers))),
        (f"print('{word}'[:{a % 4 + 1}])", word[: a % 4 + 1]),
        (f"print('{word}'[::-1])", word[::-1]),
        (f"print({a * 10 + b} % {b})", str((a * 10 + b) % b)),
        (f"t = 0\nfor i in range({a}):\n    t += i\nprint(t)", str(sum(range(a)))),
        (f"x = {a}\nif x > {b}:\n    print('big')\nelse:\n    print('small')",
         "big" if a > b else "small"),
        (f"print([n * {b} for n in {numbers[:3]}])", str([n * b for n in numbers[:3]])),
    )  # fmt: skip
    snippet, output = rng.choice(cases)
    return f"What does this Python code print?\n{snippet}", output


def string_ops(rng: random.Random) -> tuple[str, str]:
    """Draw a manipulation of letters, words or numbers."""
    word = rng.choice(WORDS)
    words = rng.sample(WORDS, rng.randint(3, 4))
    numbers = rng.sample(range(1, 100), rng.randint(3, 5))
    letter = rng.choice(word)
    listed, shown = ", ".join(words), ", ".join(map(str, numbers))
    cases = (
        (f"How many letters are in the word '{word}'?", str(len(word))),
        (f"How many times is the letter '{letter}' in '{word}'?", str(word.count(letter))),
        (f"What is the first letter of '{word}'?", word[0]),
        (f"What is the last letter of '{word}'?", word[-1]),
        (f"Write the word '{word}' backwards.", word[::-1]),
        (f"Write '{word}' in capital letters.", word.upper()),
        (f"Sort these numbers from small to large: {shown}.", ", ".join(map(str, sorted(numbers)))),
        (f"Sort these words in alphabetical order: {listed}.", ", ".join(sorted(words))),
        (f"Which of these numbers is the largest: {shown}?", str(max(numbers))),
        (f"Which is the second word of this list: {listed}?", words[1]),
        (f"How many words are in this list: {listed}?", str(len(words))),
        (f"Write this list in reverse order: {listed}.", ", ".join(reversed(words))),
    )
    return rng.choice(cases)


def units_dates(rng: random.Random) -> tuple[str, str]:
    """Draw a conversion of units or a step on the calendar."""
    n = rng.randint(2, 12)
    day, month = rng.randrange(7), rng.randrange(12)
    step = rng.randint(1, 10)
    hour, minutes = rng.randint(1, 8), rng.choice((15, 30, 45))
    start = hour * 60 + minutes
    later = start + 5 * rng.randint(2, 14)
    end = f"{later // 60}:{later % 60:02d}"
    cases = (
        (f"How many minutes are {n} hours?", _both(n * 60)),
        (f"How many seconds are {n} minutes?", _both(n * 60)),
        (f"How many days are {n} weeks?", str(n * 7)),
        (f"How many months are {n} years?", str(n * 12)),
        (f"How many metres are {n} kilometres?", _both(n * 1000)),
        (f"How many centimetres are {n} metres?", _both(n * 100)),
        (f"How many grams are {n}.5 kilograms?", _both(n * 1000 + 500)),
        (f"How many cents are {n} dollars?", _both(n * 100)),
        (f"Today is {WEEKDAYS[day]}. Which day is it in {step} days?", WEEKDAYS[(day + step) % 7]),
        (f"Which month comes {step} months after {MONTHS[month]}?", MONTHS[(month + step) % 12]),
        (f"Which month comes just before {MONTHS[month]}?", MONTHS[month - 1]),
        (f"A film starts at {hour}:{minutes} and ends at {end}. How many minutes is it long?",
         str(later - start)),
        (f"It is {hour}:{minutes} now. What time is it in {later - start} minutes?", end),
    )  # fmt: skip
    return rng.choice(cases)


def _both(value: int) -> str:
    return f"{value}|{value:,}" if value >= 1000 else str(value)

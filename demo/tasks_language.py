"""Generators of questions on reading, classes, form and facts: a query and its target."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from facts import (
    CITIES,
    COLOURS,
    COMMON_SENSE,
    COUNTRIES,
    FIRST_NAMES,
    ITEMS,
    JOBS,
    KINDS,
    LAST_NAMES,
    WEEKDAYS,
    WORLD,
)

if TYPE_CHECKING:
    import random


def extraction(rng: random.Random) -> tuple[str, str]:
    """Draw a short text and ask for one detail of it."""
    first, last, other = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES), rng.choice(LAST_NAMES)
    home, work = rng.sample(CITIES, 2)
    age, day, job = rng.randint(21, 69), rng.choice(WEEKDAYS), rng.choice(JOBS)
    order, total = rng.randint(10000, 99999), rng.randint(12, 480)
    room, hour = rng.randint(101, 499), rng.randint(8, 18)
    code = f"{rng.choice('ABCDEFGH')}{rng.randint(100, 999)}"
    email = f"{first.lower()}.{last.lower()}@mail.com"
    profile = f"{first} {last} is {age} years old, lives in {home} and works as a {job} in {work}."
    invoice = (
        f"Order {order} was sent to {first} {last} in {home} on {day}. The total is {total} "
        f"dollars. Use code {code} for the next order or write to {email}."
    )
    meeting = (
        f"The meeting with Dr. {other} moved from {home} to {work}. It takes place on {day} at "
        f"{hour}:00 in room {room}. {first} brings the slides."
    )
    text, question, target = rng.choice(
        (
            (profile, "In which city does this person live?", home),
            (profile, "In which city does this person work?", work),
            (profile, "What is this person's job?", job),
            (profile, "What is this person's last name?", last),
            (invoice, "What is the order number?", str(order)),
            (invoice, "What is the discount code?", code),
            (invoice, "What is the e-mail address?", email),
            (invoice, "How many dollars is the total?", str(total)),
            (meeting, "In which city is the meeting now?", work),
            (meeting, "What is the room number?", str(room)),
            (meeting, "Who brings the slides?", first),
            (meeting, "On which day is the meeting?", day),
        )
    )
    return f"Text: {text}\nQuestion: {question} Answer in a few words.", target


def yes_no_reading(rng: random.Random) -> tuple[str, str]:
    """Draw a short text and a question that the text answers with yes or no."""
    a, b, c = rng.sample(FIRST_NAMES, 3)
    m, n = rng.sample(range(2, 40), 2)
    item, job = rng.choice(ITEMS), rng.choice(JOBS)
    red, blue = rng.sample(COLOURS, 2)
    home, away = rng.sample(CITIES, 2)
    asked_city = rng.choice((home, away))
    asked_colour = rng.choice((red, blue))
    counts = f"{a} has {m} {item} and {b} has {n} {item}."
    cars = f"{a} drives a {red} car. {b} drives a {blue} car. {c} has no car."
    trip = f"{a} lives in {home}, but today {a} is in {away} to meet {b}, who is a {job}."
    text, question, truth = rng.choice(
        (
            (counts, f"Does {a} have more {item} than {b}?", m > n),
            (counts, f"Does {b} have fewer than {m + 5} {item}?", n < m + 5),
            (cars, f"Is the car of {a} {asked_colour}?", asked_colour == red),
            (cars, f"Does {c} have a car?", False),
            (cars, f"Does {b} have a car?", True),
            (trip, f"Does {a} live in {asked_city}?", asked_city == home),
            (trip, f"Is {a} in {asked_city} today?", asked_city == away),
            (trip, f"Is {b} a {job}?", True),
            (trip, f"Does the text say how old {a} is?", False),
        )
    )
    return f"Text: {text}\nQuestion: {question} Answer yes or no.", "yes" if truth else "no"


def common_sense(rng: random.Random) -> tuple[str, str]:
    """Draw an everyday question with four shuffled options."""
    if rng.random() < 0.5:
        question, right, wrong = rng.choice(COMMON_SENSE)
    else:
        question, right, wrong = _odd_kind(rng)
    options = [right, *wrong]
    rng.shuffle(options)
    listed = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", options, strict=True))
    query = f"{question}\n{listed}\nAnswer with the letter of the right option."
    return query, "ABCD"[options.index(right)]


def _odd_kind(rng: random.Random) -> tuple[str, str, tuple[str, str, str]]:
    kind = rng.choice(list(KINDS))
    first, second, third = rng.sample([other for other in KINDS if other != kind], 3)
    right = rng.choice(KINDS[kind])
    wrong = (rng.choice(KINDS[first]), rng.choice(KINDS[second]), rng.choice(KINDS[third]))
    return f"Which of these is {kind}?", right, wrong


_PRAISE = ("wonderful", "excellent", "marvellous", "a real joy", "better than I had hoped")
_BLAME = ("terrible", "a waste of money", "disappointing", "awful", "dreadful")
_THINGS = ("The soup", "This film", "The hotel room", "The new phone", "The service", "The concert")
_FACTS = (
    "is listed on page four", "was mentioned in the letter", "is the third entry on the list",
    "was the topic of the talk on Monday", "appears twice in the report", "is item number seven",
)  # fmt: skip


def sentiment(rng: random.Random) -> tuple[str, str]:
    """Draw a review sentence whose label follows from its template."""
    thing, other = rng.sample(_THINGS, 2)
    good, bad, fact = rng.choice(_PRAISE), rng.choice(_BLAME), rng.choice(_FACTS)
    sentence, label = rng.choice(
        (
            (f"{thing} was {good}.", "positive"),
            (f"{thing} was {bad}.", "negative"),
            (f"{thing} {fact}.", "neutral"),
            (f"I expected little, but {thing.lower()} was {good}.", "positive"),
            (f"Everybody praised it, yet I found {thing.lower()} {bad}.", "negative"),
            (f"{thing} was not {rng.choice(('bad', 'disappointing'))} at all, I loved it.",
             "positive"),
            (f"{thing} was anything but {rng.choice(('wonderful', 'good', 'excellent'))}.",
             "negative"),
            (f"{thing} {fact}, and the same goes for {other.lower()}.", "neutral"),
        )
    )  # fmt: skip
    query = "Is the sentiment of this sentence positive, negative or neutral? Answer with one word."
    return f"{query}\nSentence: {sentence}", label


def json_format(rng: random.Random) -> tuple[str, str]:
    """Draw a sentence whose facts are to be written as a JSON object."""
    name, city, job = rng.choice(FIRST_NAMES), rng.choice(CITIES), rng.choice(JOBS)
    age, count = rng.randint(20, 70), rng.randint(2, 30)
    item, colour = rng.choice(ITEMS), rng.choice(COLOURS)
    sentence, value = rng.choice(
        (
            (f"{name} lives in {city}.", {"name": name, "city": city}),
            (f"{name} is {age} years old.", {"name": name, "age": age}),
            (f"{name} is a {job} from {city}.", {"name": name, "job": job, "city": city}),
            (f"We need {count} {colour} {item}.",
             {"item": item, "colour": colour, "count": count}),
            (f"{name}, {age}, works as a {job}.", {"name": name, "age": age, "job": job}),
        )
    )  # fmt: skip
    keys = ", ".join(f'"{key}"' for key in value)
    query = f"Write the facts as one JSON object with the keys {keys}. Numbers are not quoted."
    return f"{query}\nFacts: {sentence}", json.dumps(value)


def world_knowledge(rng: random.Random) -> tuple[str, str]:
    """Draw a short factual question."""
    country, capital, continent = rng.choice(COUNTRIES)
    land = f"{continent}|{continent}n" if continent.endswith("America") else continent
    question, target = rng.choice(
        (
            (f"What is the capital of {country}?", capital),
            (f"{capital} is the capital of which country?", country),
            (f"On which continent is {country}?", land),
            *((text, "|".join(answers)) for text, answers in rng.sample(WORLD, 3)),
        )
    )
    return f"{question} Answer in a few words.", target

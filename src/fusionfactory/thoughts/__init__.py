"""The thought level: templates from the best past answers, put into the prompts they help."""

from __future__ import annotations

from fusionfactory.thoughts.extract.writer import ExtractiveWriter
from fusionfactory.thoughts.gating.gate import Gate
from fusionfactory.thoughts.leaks.check import Leak
from fusionfactory.thoughts.prompter import Prompter
from fusionfactory.thoughts.search.finder import Found
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.search.indexing import Indexed, index_bank
from fusionfactory.thoughts.search.lookup import Neighbours
from fusionfactory.thoughts.strategy import Strategy, parse_strategy
from fusionfactory.thoughts.template import (
    CRITERIA,
    Source,
    ThoughtTemplate,
    read_templates,
    write_templates,
)
from fusionfactory.thoughts.writing.select import Selection

__all__ = [
    "CRITERIA",
    "ExtractiveWriter",
    "Found",
    "Gate",
    "Indexed",
    "Leak",
    "Neighbours",
    "Prompter",
    "Selection",
    "Source",
    "Strategy",
    "ThoughtIndex",
    "ThoughtTemplate",
    "index_bank",
    "parse_strategy",
    "read_templates",
    "write_templates",
]

"""What is wrong with a topology file, said in two lines.

TopologyError   for the caller: file and key, what was found; and what to do
Problem         inside a validator: the same without the file, which a validator does not know
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

SHOWN_CHARACTERS = 60
SHOWN_NAMES = 8
INDEX_DIGITS = 6

_EXPECTED = {
    "int_type": "a whole number, without a dot",
    "float_type": "a number",
    "string_type": "text in quotes",
    "tuple_type": "a list in square brackets",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "string_too_short": "at least {min_length} long",
    "string_too_long": "at most {max_length} long",
    "string_pattern_mismatch": "one line of text",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
"""pydantic's type of error → what belongs there, where its own words would speak of Python."""


class TopologyError(ValueError):
    """A topology that cannot be used. `problem` names file and key; `remedy` says what to do, in one line."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n{remedy}")
        self.problem = problem
        self.remedy = remedy


class Problem(ValueError):  # noqa: N818 - a finding about a file, not a failure of ours
    """A validator's finding. `key` is a dotted path below the section that the validator belongs to."""

    def __init__(self, what: str, remedy: str, key: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.key = key


def explain(error: ValidationError, raw: Mapping[str, object], source: str) -> TopologyError:
    """The first finding of pydantic on `raw`, the parsed content of `source`, in our words."""
    findings = error.errors(include_url=False)
    first = findings[0]
    context = first.get("ctx", {})
    cause = context.get("error")
    problem = (
        cause if isinstance(cause, Problem) else _in_our_words(first["type"], first["msg"], first["input"], context)
    )
    place = _place(first["loc"], problem.key, raw)
    also = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return TopologyError(f"{source}: {place}{problem.what}{also}", problem.remedy)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as `did you mean "alpha"? ` for the name in `known` that `word` may have meant, else nothing."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold()[:SHOWN_CHARACTERS], by_folded, n=1, cutoff=0.6)
    return f'did you mean "{by_folded[close[0]]}"? ' if close else ""


def shown(value: object) -> str:
    """`value` as it stands in the file, bounded, and harmless to a terminal."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, tuple | list):
        return f"a list of {len(value)}"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else f"{value!r}".replace("'", '"')
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def listed(names: Sequence[str]) -> str:
    """`a, b, c and 5 more`."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _in_our_words(kind: str, message: str, found: object, context: Mapping[str, object]) -> Problem:
    if kind == "missing":
        return Problem("is missing", "add it; `grapevine topology new` prints a complete file to compare with")
    expected = _EXPECTED.get(kind) or message.removeprefix("Input should ").removeprefix("be ")
    return Problem(f"is {shown(found)}", f"it must be {expected.format_map(context)}")


def _place(location: Sequence[int | str], key: str, raw: Mapping[str, object]) -> str:
    """`task.alpha ` or `[[node]] 3 (press-3): listen `; pydantic's name of a union member is left out."""
    parts: list[int | str] = list(location)
    if parts[:1] == ["graph"] and len(parts) > 1 and _family(raw) == parts[1]:
        del parts[1]
    if key:
        parts += [int(part) if _is_index(part) else part for part in key.split(".")]
    index = parts[1] if parts[:1] == ["node"] and len(parts) > 1 else None
    if isinstance(index, int):
        table = f"[[node]] {index + 1}{_name_of(raw, index)}"
        rest = _dotted(parts[2:])
        return f"{table}: {rest} " if rest else f"{table} "
    dotted = _dotted(parts)
    return f"{dotted} " if dotted else ""


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= INDEX_DIGITS


def _dotted(parts: Sequence[int | str]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{_key(part)}"
    return text.removeprefix(".")


def _key(part: str) -> str:
    return part if part.replace("-", "_").isidentifier() and len(part) <= SHOWN_CHARACTERS else shown(part)


def _family(raw: Mapping[str, object]) -> object:
    graph = raw.get("graph")
    return graph.get("family") if isinstance(graph, Mapping) else None


def _name_of(raw: Mapping[str, object], index: int) -> str:
    nodes = raw.get("node")
    table = nodes[index] if isinstance(nodes, Sequence) and index < len(nodes) else None
    name = table.get("name") if isinstance(table, Mapping) else None
    return f" ({_key(name)})" if isinstance(name, str) else ""

"""A section as TOML text. The comment beside a key is the docstring under its field."""

from __future__ import annotations

import json
from collections.abc import Iterator

from overlay.section import Section

LINE = 120
COMMENT_COLUMN_MAX = 40


def render(document: Section) -> str:
    """`document` as TOML that parses to an equal one. Keys without a value or without an effect are left out."""
    return "\n".join(_table(document, (), commented=True)).lstrip("\n") + "\n"


def _table(section: Section, path: tuple[str, ...], *, commented: bool) -> Iterator[str]:
    kind = type(section)
    lines: list[tuple[str, str]] = []
    below: list[tuple[str, Section | tuple[Section, ...]]] = []
    for name, field in kind.model_fields.items():
        value, key = getattr(section, name), field.alias or name
        if isinstance(value, Section) or (isinstance(value, tuple) and value and isinstance(value[0], Section)):
            below.append((key, value))
        elif value is not None and (name not in section.unused() or value != field.default):
            lines.append((f"{key} = {_value(value)}", (field.description or "") if commented else ""))
    yield from _aligned(lines)
    for key, value in below:
        yield from _below(value, (*path, key))


def _below(value: Section | tuple[Section, ...], path: tuple[str, ...]) -> Iterator[str]:
    name = ".".join(path)
    if isinstance(value, Section):
        body = list(_table(value, path, commented=True))
        yield from ("", f"[{name}]", *body) if body else ()
        return
    for place, section in enumerate(value):
        yield from ("", f"[[{name}]]", *_table(section, path, commented=place == 0))


def _aligned(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Comments in one column; above the key where they would not fit beside it."""
    column = max((len(line) for line, _ in lines if len(line) <= COMMENT_COLUMN_MAX), default=0)
    for line, description in lines:
        comment = f"# {' '.join(description.split())}"
        beside = f"{line:<{column}}  {comment}"
        if not description:
            yield line
        elif len(beside) <= LINE:
            yield beside
        else:
            yield from (comment, line)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON string of printable characters is a TOML basic string
    if isinstance(value, tuple):
        items = [_value(item) for item in value]
        flat = f"[{', '.join(items)}]"
        return (
            flat
            if len(flat) < LINE - COMMENT_COLUMN_MAX
            else "".join(("[\n", *(f"    {item},\n" for item in items), "]"))
        )
    return repr(value)

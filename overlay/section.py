"""The base of every table of a topology file: strict, frozen, helpful about unknown keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from overlay.topology_errors import Problem, listed, nearest, shown

Planned = Mapping[str, tuple[str, ...]]
"""Key → values of later versions; an empty tuple where the key itself is of a later version."""

NOT_YET = "not available in this version"


class Section(BaseModel):
    """A table. The docstring under a field is also the comment that a written file carries beside the key."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    planned: ClassVar[Planned] = {}

    def unused(self) -> frozenset[str]:
        """Keys that have no effect beside the values of the others; a written file leaves them out."""
        return frozenset()

    @model_validator(mode="before")
    @classmethod
    def _keys_and_choices_exist(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            keys = {field.alias or name: field.annotation for name, field in cls.model_fields.items()}
            for key, value in raw.items():
                cls._check_key(key, tuple(keys))
                _check_choice(key, value, keys[key], cls.planned.get(key, ()))
        return raw

    @classmethod
    def _check_key(cls, key: str, known: tuple[str, ...]) -> None:
        if key in known:
            return
        here = f"the keys here are {', '.join(known)}" if len(known) > 1 else f"the only key here is {known[0]}"
        if key in cls.planned:
            raise Problem(f"is {NOT_YET}", f"leave it out; {here}", key)
        raise Problem("is not a known key", f"{nearest(key, known)}{here}", key)


def _check_choice(key: str, value: object, annotation: object, planned: tuple[str, ...]) -> None:
    """Where the field is a choice of words: that `value` is one of them."""
    if get_origin(annotation) is not Literal:
        return
    words: tuple[str, ...] = get_args(annotation)
    if value in words:
        return
    remedy = f"use {words[0]}" if len(words) == 1 else f"choose of {listed(words)}"
    if isinstance(value, str) and value in planned:
        raise Problem(f"= {shown(value)} is {NOT_YET}", remedy, key)
    hint = nearest(value, words) if isinstance(value, str) else ""
    raise Problem(f"= {shown(value)} is unknown", f"{hint}{remedy}", key)

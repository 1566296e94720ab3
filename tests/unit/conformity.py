"""Checks values against declared types: an oracle for what crosses the wire."""

from __future__ import annotations

import types
from typing import Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


def nonconformity(value: object, declared: object, where: str = "value") -> list[str]:
    """Tell where a value differs from a type made of JSON's types, unions and typed dicts."""
    origin, arguments = get_origin(declared), get_args(declared)
    if is_typeddict(declared):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        fields = get_type_hints(declared)
        wrong = [f"{where}: has {sorted(value)}"] if set(value) != set(fields) else []
        for name in set(value) & set(fields):
            wrong += nonconformity(value[name], fields[name], f"{where}.{name}")
        return wrong
    if origin in (Union, types.UnionType):
        found = [nonconformity(value, argument, where) for argument in arguments]
        return [] if [] in found else found[0]
    if origin is Literal:
        fits = value in arguments
    elif origin is list:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [
            problem
            for at, item in enumerate(value)
            for problem in nonconformity(item, arguments[0], f"{where}[{at}]")
        ]
    elif origin is dict:
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        return [
            problem
            for key, item in value.items()
            for problem in nonconformity(item, arguments[1], f"{where}[{key!r}]")
        ]
    elif declared is float:
        fits = type(value) in (int, float)
    else:
        fits = type(value) is declared or (declared is type(None) and value is None)
    return [] if fits else [f"{where}: {value!r} is no {declared}"]

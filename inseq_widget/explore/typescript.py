"""Writes ``js/src/protocol.ts`` from the types in :mod:`inseq_widget.explore.protocol`.

Run ``python -m inseq_widget.explore.typescript FILE`` after changing them (``npm run generate``
does); without FILE the text goes to standard output.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from inseq_widget.explore import protocol

_PRIMITIVES: dict[object, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    bytes: "DataView",
    type(None): "null",
}

_HEADER = (
    "// Types of the widget's state and of the messages between page and kernel.\n"
    "// Generated from inseq_widget/explore/protocol.py by `npm run generate`: do not edit.\n"
)


def typescript() -> str:
    """Give the TypeScript text that mirrors the protocol.

    Returns
    -------
    str
        One exported ``const``, ``type`` or ``interface`` for each name of the protocol module, in
        the order of their definition.

    Raises
    ------
    TypeError
        When the protocol uses a type that has no TypeScript counterpart here.
    """
    parts = [_HEADER]
    for name, value in vars(protocol).items():
        if name.startswith("_") or value in (Literal,) or isinstance(value, types.ModuleType):
            continue
        if isinstance(value, int):
            parts.append(f"export const {name} = {value};\n")
        elif is_typeddict(value):
            parts.append(_interface(name, value))
        elif get_origin(value) in (Literal, Union, types.UnionType):
            parts.append(f"export type {name} = {_expression(value, keep_names=False)};\n")
    return "\n".join(parts)


def _interface(name: str, declared: type) -> str:
    lines = ["/**"]
    lines += [
        f" * {line.strip()}".rstrip() for line in (declared.__doc__ or "").strip().split("\n")
    ]
    lines += [" */", f"export interface {name} {{"]
    for field, annotation in get_type_hints(declared).items():
        lines.append(f"  {field}: {_expression(annotation)};")
    return "\n".join([*lines, "}", ""])


def _expression(annotation: object, *, keep_names: bool = True) -> str:
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation]
    if keep_names:
        for name, value in vars(protocol).items():
            if value is annotation or (get_origin(value) is Literal and value == annotation):
                return name
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(json.dumps(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(_expression(argument) for argument in arguments)
    if origin is list:
        inner = _expression(arguments[0])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if origin is tuple:
        return f"[{', '.join(_expression(argument) for argument in arguments)}]"
    if origin is dict:
        return f"Record<{_expression(arguments[0])}, {_expression(arguments[1])}>"
    raise TypeError(f"no TypeScript counterpart for {annotation!r}")


def main(arguments: list[str]) -> None:
    """Write the generated text to the file named by the first argument, or print it."""
    if arguments:
        Path(arguments[0]).write_text(typescript(), encoding="utf-8")
    else:
        sys.stdout.write(typescript())


if __name__ == "__main__":
    main(sys.argv[1:])

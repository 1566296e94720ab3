"""Checks values that were read from JSON against declared types."""

from __future__ import annotations

import types
from typing import Literal, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

_INT64 = range(-(2**63), 2**63)
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def check_conforms(value: object, annotation: object, where: str) -> None:
    """Refuse a value that is not of a declared type.

    Parameters
    ----------
    value : object
        From JSON: nested dictionaries, lists, texts, numbers, booleans and None.
    annotation : type
        A TypedDict, of which every key must be there, while further ones are let pass;
        ``list[...]``, ``dict[str, ...]``, ``Literal[...]``, a union, None, ``str``, ``bool``,
        ``float``, ``int``, which stands for whole numbers of 64 bits, or ``object`` for anything.
    where : str
        Name of the value in the error.

    Raises
    ------
    ValueError
        It names the first part that does not fit, what it is and what was expected.
    """
    if is_typeddict(annotation):
        mapping = _mapping(value, where)
        for key, of_key in get_type_hints(cast("type", annotation)).items():
            if key not in mapping:
                raise ValueError(f"{where}.{key} is missing.")
            check_conforms(mapping[key], of_key, f"{where}.{key}")
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        for key, part in _mapping(value, where).items():
            check_conforms(part, arguments[1], f"{where}[{key!r}]")
    elif origin is list:
        if not isinstance(value, list):
            raise _unexpected(value, annotation, where)
        for number, part in enumerate(value):
            if not _is_plain(part, arguments[0]):
                check_conforms(part, arguments[0], f"{where}[{number}]")
    elif origin in (Union, types.UnionType):
        if not any(_conforms(value, choice, where) for choice in arguments):
            raise _unexpected(value, annotation, where)
    elif origin is Literal:
        if not isinstance(value, str) or value not in arguments:
            raise _unexpected(value, annotation, where)
    elif not _is_plain(value, annotation):
        raise _unexpected(value, annotation, where)


def _conforms(value: object, annotation: object, where: str) -> bool:
    try:
        check_conforms(value, annotation, where)
    except ValueError:
        return False
    return True


def _is_plain(value: object, annotation: object) -> bool:
    if annotation is object:
        return True
    if annotation in (None, type(None)):
        return value is None
    if annotation is int:
        return type(value) is int and value in _INT64
    if annotation is float:
        return type(value) is float or (type(value) is int and value in _INT64)
    return annotation in (str, bool) and type(value) is annotation


def _mapping(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {shortened(value)}; a mapping was expected.")
    return value


def _unexpected(value: object, annotation: object, where: str) -> ValueError:
    return ValueError(f"{where} is {shortened(value)}; {_in_words(annotation)} was expected.")


def _in_words(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_in_words, arguments))
    if origin is list:
        return f"a list, each {_in_words(arguments[0])},"
    if annotation in (None, type(None)):
        return "nothing"
    return _NAMES.get(cast("type", annotation), "a mapping")


def shortened(value: object) -> str:
    """Show a value of unknown size in an error.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
        What it is written as, at most 60 characters of it; containers by their size.
    """
    if isinstance(value, dict | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value not in _INT64:
        return "a whole number of more than 64 bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

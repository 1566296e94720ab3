"""What produced an output, read from a file that may be older than a field of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast, get_args, get_origin, get_type_hints

from inseq_widget.results.provenance import Info
from inseq_widget.results.storage.conformity import check_conforms

_EMPTY: dict[object, object] = {str: "", bool: False, int: 0, float: 0.0, list: [], dict: {}}


def completed_info(given: Mapping[str, object], where: str) -> Info:
    """Check what is given of an info, and fill the rest with empty values.

    Parameters
    ----------
    given : mapping of str to object
        Keys that an info does not have are left out.
    where : str
        Name of the info in errors.

    Returns
    -------
    Info
        A field that was not given is None where it may be, else an empty text, list or
        dictionary, False or zero.

    Raises
    ------
    ValueError
        For a value that is not of its field's type.
    """
    info: dict[str, object] = {}
    for key, annotation in get_type_hints(Info).items():
        if key in given:
            check_conforms(given[key], annotation, f"{where}.{key}")
            info[key] = given[key]
        else:
            info[key] = _empty(annotation)
    return cast("Info", info)


def _empty(annotation: object) -> object:
    if type(None) in get_args(annotation) and get_origin(annotation) not in (list, dict):
        return None
    return copy.copy(_EMPTY[get_origin(annotation) or annotation])

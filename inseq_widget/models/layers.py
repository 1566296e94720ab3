"""Finds the layers of a model by its structure and by name, without a table of architectures."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from inseq_widget.models.structure import nearest_list, stacks_of
from inseq_widget.models.trace import Stack
from inseq_widget.models.traceable import TraceableModel

ALL = "all"
LayerName = str | int | nn.Module
TargetLayer = LayerName | Sequence[LayerName] | None

_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Layer:
    """A layer that somebody named.

    Attributes
    ----------
    name : str
        The path of a module, or the number of a layer.
    modules : mapping of str to torch.nn.Module
        The module in each stack where it is looked for.
    """

    name: str
    modules: Mapping[Stack, nn.Module]


def layers_of(model: TraceableModel) -> dict[Stack, list[nn.Module]]:
    """List the layers of every stack, the first one first.

    Parameters
    ----------
    model : TraceableModel

    Returns
    -------
    dict of str to list of torch.nn.Module

    Raises
    ------
    NotImplementedError
        When a stack does not hold its layers in a ``torch.nn.ModuleList``.
    """
    return {name: _layers(stack) for name, stack in stacks_of(model.model).items()}


def are_several(target_layer: TargetLayer) -> bool:
    """Say whether a choice of layers asks for scores with a dimension of layers."""
    return target_layer == ALL or isinstance(target_layer, list | tuple)


def check_target_layer(target_layer: object) -> None:
    """Refuse what names no layer in any model.

    Parameters
    ----------
    target_layer : object

    Raises
    ------
    TypeError, ValueError
    """
    names = target_layer if isinstance(target_layer, list | tuple) else [target_layer]
    if not names:
        raise ValueError("target_layer: an empty list given; name at least one layer, or 'all'.")
    for name in names:
        if name is None and names is not target_layer:
            continue
        if isinstance(name, bool) or not isinstance(name, str | int | nn.Module):
            raise TypeError(
                f"target_layer: {name!r} given; pass the number of a layer, the path of a module, "
                "a module of the model, a list of those, or 'all'."
            )
        if name == ALL and names is target_layer:
            raise ValueError("target_layer: 'all' stands alone, not in a list.")


def find_layers(model: TraceableModel, target_layer: TargetLayer) -> list[Layer]:
    """Find the layers that a user named.

    Parameters
    ----------
    model : TraceableModel
    target_layer : str, int, torch.nn.Module, a list of those, or None
        None is the module that embeds the tokens, ``"all"`` every layer of every stack. A number
        counts the layers of a stack, from the end where it is negative; a path is that of a
        module, as in ``"model.layers.3.mlp"`` or ``"model.layers[3].mlp"``.

    Returns
    -------
    list of Layer

    Raises
    ------
    ValueError
        When the model has no such layer; the message says which ones it has.
    """
    check_target_layer(target_layer)
    if isinstance(target_layer, list | tuple):
        return [_named(model, name) for name in target_layer]
    if target_layer == ALL:
        longest = max(len(modules) for modules in layers_of(model).values())
        return [_numbered(model, number) for number in range(longest)]
    assert target_layer is None or isinstance(target_layer, str | int | nn.Module)
    return [_named(model, target_layer)]


def _named(model: TraceableModel, name: LayerName | None) -> Layer:
    if isinstance(name, int):
        return _numbered(model, name)
    if name is None:
        embedding = model._embedding_modules()
        return Layer(_path_of(model, embedding[0][1]), dict(embedding))
    if isinstance(name, nn.Module):
        path, module = _path_of(model, name), name
    else:
        path, module = _at_path(model, name)
    return Layer(path, dict.fromkeys(stacks_of(model.model), module))


def _numbered(model: TraceableModel, number: int) -> Layer:
    """Find a layer by its number, in every stack that has so many."""
    stacks = layers_of(model)
    counted: dict[Stack, int] = {
        stack: number + len(modules) if number < 0 else number for stack, modules in stacks.items()
    }
    found = {
        stack: stacks[stack][place]
        for stack, place in counted.items()
        if 0 <= place < len(stacks[stack])
    }
    if not found:
        has = " and ".join(
            f"{len(modules)} {'encoder' if stack == 'source' else 'decoder'} layers"
            if len(stacks) > 1
            else f"{len(modules)} layers"
            for stack, modules in stacks.items()
        )
        longest = max(len(modules) for modules in stacks.values())
        raise ValueError(
            f"target_layer: there is no layer {number}; the model has {has}, "
            f"numbered from 0 to {longest - 1} (or from -{longest} to -1)."
        )
    places = {counted[stack] for stack in found}
    # Counted from the end, stacks of different depth do not agree on a number.
    return Layer(str(places.pop() if len(places) == 1 else number), found)


def _at_path(model: TraceableModel, given: str) -> tuple[str, nn.Module]:
    path = _INDEX.sub(r".\1", given).strip(".")
    modules = dict(model.model.named_modules(remove_duplicate=False))
    if path in modules and path:
        return path, modules[path]
    names = [name for name in modules if name]
    near = difflib.get_close_matches(path, names, n=3, cutoff=0.6)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else _advice(model)
    raise ValueError(f"target_layer: the model has no module {given!r}; {advice}")


def _path_of(model: TraceableModel, module: nn.Module) -> str:
    path: str
    for path, candidate in model.model.named_modules():
        if candidate is module and path:
            return path
    raise ValueError(
        f"target_layer: the {type(module).__name__} given is not a module inside of the model "
        f"(a {type(model.model).__name__}); {_advice(model)}"
    )


def _advice(model: TraceableModel) -> str:
    children = [name for name, _ in model.model.named_children()]
    return f"its modules begin with {', '.join(children)}, and layers have numbers, too."


def _layers(stack: nn.Module) -> list[nn.Module]:
    layers = nearest_list(stack)
    if layers is None:
        raise NotImplementedError(
            f"model: {type(stack).__name__} does not hold its layers in a list of modules."
        )
    return layers

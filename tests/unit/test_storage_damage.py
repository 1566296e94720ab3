"""Files that are cut off, changed or forged are refused in words, and quickly."""

from __future__ import annotations

import copy
import gzip
import json
import os
import pickle
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from inseq_widget.results import FeatureAttributionOutput
from inseq_widget.results.storage import unpacking
from tests.unit.outputs import causal, encoder_decoder
from tests.unit.stored import assert_same, everything
from tests.unit.test_storage_inseq import FOLDER

PLENTY = 2.0  # seconds, for what takes milliseconds


def refused(path: Path, *named: str) -> str:
    """Open a file that cannot be opened, and give the reason."""
    start = time.monotonic()
    with pytest.raises(ValueError, match=f"path: {re.escape(str(path))} cannot be read") as caught:
        FeatureAttributionOutput.load(path)
    assert time.monotonic() - start < PLENTY
    message = str(caught.value)
    assert all(name in message for name in named), message
    assert len(message) < 600
    return message


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "saved.safetensors"
    everything().save(path)
    return path


def parts(path: Path) -> tuple[dict[str, str], dict, dict[str, torch.Tensor]]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    return metadata, json.loads(metadata["output"]), load_file(path)


def test_every_cut_is_noticed(saved: Path) -> None:
    content = saved.read_bytes()
    for length in [*range(20), *range(20, len(content), 211), len(content) - 1]:
        saved.write_bytes(content[:length])
        refused(saved)
    saved.write_bytes(content + b"\0")
    refused(saved, "arrays do not fill the file")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "it is empty"),
        (b"abc", "it ends after 3 bytes"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "header is given as longer"),
        (struct.pack("<Q", 2**63) + b"{}", "header is given as longer"),
        (struct.pack("<Q", 99_000_000) + b"{}", "header is given as longer than the file"),
        (struct.pack("<Q", 2) + b"{}", "holds no attribution"),
        (struct.pack("<Q", 0) + b"{}", "no safetensors file"),
        (struct.pack("<Q", 7) + b'{"a":1}', "no safetensors file"),
        (struct.pack("<Q", 8) + b'{"\xff\xff":1}', "header"),
        (b"PK\x03\x04" + bytes(100), "torch.save"),
        (pickle.dumps({"a": np.zeros(3)}), "header"),
        (b"hello, this is a text file\n", "header"),
        (bytes(1000), "no safetensors file"),
        (b"{", "JSON"),
        (b'{"a": 1}', "not what Inseq writes"),
        (b'{"a": "\xff"}', "JSON"),
        (b'{"sequence_attributions": ' + b"9" * 5000 + b"}", "JSON"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"info":' + b"[" * 1_000_000, "nested too deep"),
        (gzip.compress(b""), "it is empty"),
        (gzip.compress(gzip.compress(b"{}")), "compressed twice"),
        (gzip.compress(bytes(1000))[:-20], "gzip compression"),
        (gzip.compress(bytes(1000))[:15] + b"\xff" * 20, "gzip compression"),
        (b"\x1f\x8b", "gzip compression"),
        (b"\x1f\x8bxxxxxxxxxxxxx", "gzip compression"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "it"
    path.write_bytes(content)
    refused(path, named)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no file")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no file")


def test_a_header_that_nests_deep_is_refused(saved: Path) -> None:
    metadata, _, arrays = parts(saved)
    for deep in ("[" * 500_000, '{"a":' * 500_000, "[" * 900 + "]" * 900):
        save_file(arrays, saved, {**metadata, "output": deep})
        refused(saved)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(128):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 18
    refused(path, "64 MiB", "gunzip")


def test_a_large_file_may_unpack_to_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    causal().save(tmp_path / "it", compress=True)
    monkeypatch.setattr(unpacking, "FREE_SIZE", 10)
    assert_same(FeatureAttributionOutput.load(tmp_path / "it"), causal())
    monkeypatch.setattr(unpacking, "MAX_RATIO", 1)
    refused(tmp_path / "it", "unpacks to more")


def test_temporary_files_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    causal().save(tmp_path / "it", compress=True)
    FeatureAttributionOutput.load(tmp_path / "it")
    (tmp_path / "it").write_bytes((tmp_path / "it").read_bytes()[:-9])
    refused(tmp_path / "it")
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"format": "pt"}, ("holds no attribution", "'pt'")),
        ({"format": None}, ("holds no attribution",)),
        ({"version": "2"}, ("newer inseq-widget", "pip install --upgrade")),
        ({"version": "0"}, ("version",)),
        ({"version": "-1"}, ("version",)),
        ({"version": "¹"}, ("version",)),
        ({"version": "9" * 5000}, ("version",)),
        ({"version": None}, ("version",)),
        ({"output": None}, ("'output' is missing",)),
        ({"output": "{"}, ("JSON",)),
        ({"output": "3"}, ("output is 3",)),
        ({"output": "[]"}, ("output is a list of 0",)),
        ({"output": "{}"}, ("output.infos is missing",)),
    ],
)
def test_changed_headers_are_refused(saved: Path, metadata: dict, named: tuple[str, ...]) -> None:
    own, _, arrays = parts(saved)
    changed = {key: value for key, value in {**own, **metadata}.items() if value is not None}
    save_file(arrays, saved, changed)
    refused(saved, *named)


ONE = ("sequences", 0)
MISSING = object()


def with_change(layout: dict, place: tuple[str | int, ...], value: object) -> dict:
    changed = copy.deepcopy(layout)
    inside = changed
    for part in place[:-1]:
        inside = inside[part]
    if value is MISSING:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value(inside[place[-1]]) if callable(value) else value
    return changed


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("infos",), [], "infos"),
        (("infos", 0, "signed"), 1, "infos[0].signed"),
        (("infos", 0, "input_texts"), [3], "infos[0]"),
        (("infos", 0, "versions"), {"torch": 2}, "infos[0]"),
        (("sequences",), {}, "output.sequences"),
        (("scales", "0/kept/raw"), "1", "scales"),
        (("scales", "0/kept/raw"), True, "scales"),
        (("scores_precision",), "float4", "scores_precision"),
        (("step_attributions",), 1, "step_attributions"),
        ((*ONE, "info"), 9, "info is 9"),
        ((*ONE, "info"), -1, "info is -1"),
        ((*ONE, "architecture"), "other", "architecture"),
        ((*ONE, "architecture"), "decoder_only", "source"),
        ((*ONE, "reduction"), "raw", "reduction"),
        ((*ONE, "reduction"), "x", "reduction"),
        ((*ONE, "reduction"), MISSING, "sequences[0].reduction is missing"),
        ((*ONE, "attr_pos_start"), 0, "steps"),
        ((*ONE, "attr_pos_start"), -1, "attr_pos_start"),
        ((*ONE, "attr_pos_end"), 99, "attr_pos_end"),
        ((*ONE, "attr_pos_end"), 10**40, "64 bits"),
        ((*ONE, "attr_pos_end"), True, "attr_pos_end"),
        ((*ONE, "n_source_inputs"), 1, "source"),
        ((*ONE, "n_source_inputs"), 99, "source"),
        ((*ONE, "n_source_inputs"), -1, "source"),
        ((*ONE, "source", "id"), lambda ids: ids[:-1], "unequal length"),
        ((*ONE, "source", "id", 0), "x", "source.id[0]"),
        ((*ONE, "source", "id", 0), 2**63, "64 bits"),
        ((*ONE, "source", "text", 0), None, "source.text[0]"),
        ((*ONE, "source", "side", 0), "target", "side"),
        ((*ONE, "target", "side", 0), "source", "side"),
        ((*ONE, "target", "side", 0), "left", "target.side[0]"),
        ((*ONE, "target", "special", 0), 0, "target.special[0]"),
        ((*ONE, "target", "word"), MISSING, "target.word is missing"),
        ((*ONE, "foil"), 3, "foil"),
        ((*ONE, "foil_tokens", "id"), [], "foil_tokens"),
        ((*ONE, "kept"), {}, "kept"),
        ((*ONE, "kept"), [], "kept"),
        ((*ONE, "kept", "other"), {"dims": [], "coords": {}, "attrs": {}}, "0/kept/other"),
        ((*ONE, "kept", "raw", "dims", 2), "colour", "dims[2]"),
        ((*ONE, "kept", "raw", "dims", 2), "input", "dimensions"),
        ((*ONE, "kept", "raw", "dims"), ["input", "step"], "dimensions"),
        ((*ONE, "kept", "raw", "dims"), lambda dims: [dims[1], dims[0], *dims[2:]], "dimensions"),
        ((*ONE, "kept", "raw", "coords", "layer", "values"), [1], "layer"),
        ((*ONE, "kept", "raw", "coords", "layer", "values"), [1, "a", 2], "layer"),
        ((*ONE, "kept", "raw", "coords", "layer", "dims"), [], "layer"),
        ((*ONE, "kept", "raw", "coords", "layer", "dims"), ["layer", "head"], "layer"),
        ((*ONE, "kept", "raw", "coords", "layer", "dims"), ["head"], "layer"),
        ((*ONE, "kept", "raw", "coords", "input"), {"dims": [], "values": [1]}, "input"),
        ((*ONE, "kept", "raw", "attrs", "n_features"), 0, "n_features"),
        ((*ONE, "kept", "raw", "attrs", "n_features"), "5", "n_features"),
        ((*ONE, "kept", "raw", "attrs", "n_features"), [5], "n_features"),
        ((*ONE, "kept", "raw", "attrs", "deep"), [[5]], "attrs"),
        ((*ONE, "step_scores"), ["missing"], "0/step_scores/missing"),
        ((*ONE, "step_scores"), "probability", "step_scores"),
        ((*ONE, "sequence_scores"), ["\ud83d"], "missing"),
        ((*ONE, "step_aggregates"), {"p": "prod"}, "step_aggregates"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    saved: Path, place: tuple[str | int, ...], value: object, named: str
) -> None:
    metadata, layout, arrays = parts(saved)
    changed = json.dumps(with_change(layout, place, value))
    assert changed != metadata["output"]
    save_file(arrays, saved, {**metadata, "output": changed})
    refused(saved, named)


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("0/kept/raw", None, "0/kept/raw' is missing"),
        ("0/kept/raw", lambda array: array.to(torch.int32), "I32"),
        ("0/kept/raw", lambda array: array.to(torch.bfloat16), "BF16"),
        ("0/kept/raw", lambda array: array.to(torch.float8_e4m3fn), "F8"),
        ("0/step_scores/probability", lambda array: array.to(torch.float8_e4m3fn), "F8"),
        ("0/kept/raw", lambda array: array[:-1], "inputs"),
        ("0/kept/raw", lambda array: array[:, :-1], "steps"),
        ("0/kept/raw", lambda array: array[:, :, :-1], "layer"),
        ("0/kept/raw", lambda array: array[..., 0], "dimensions"),
        ("0/kept/raw", lambda array: array[:0], "inputs"),
        ("0/kept/sum", lambda array: torch.cat([array, array]), "inputs"),
        ("0/step_scores/probability", lambda array: array[:-1], "probability"),
        ("0/step_scores/probability", lambda array: array[:, None], "probability"),
        ("0/step_scores/probability", lambda array: array.to(torch.complex64), "C64"),
        ("0/sequence_scores/cross", lambda array: array[0], "cross"),
        ("0/sequence_scores/cross", lambda array: array[:-1], "cross"),
        ("0/sequence_scores/encoder_self_attentions", lambda array: array[:, :-1], "encoder"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    saved: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor] | None, named: str
) -> None:
    metadata, _, arrays = parts(saved)
    array = arrays.pop(name)
    if change is not None:
        arrays[name] = change(array).contiguous()
    save_file(arrays, saved, metadata)
    refused(saved, named)


def test_shapes_that_do_not_fit_the_bytes_are_refused(saved: Path) -> None:
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    sizes = [1, 2**62, 2**64, -1, 1.5]
    for size in sizes:
        forged = copy.deepcopy(header)
        forged["0/kept/raw"]["shape"][0] = size
        text = json.dumps(forged).encode()
        saved.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
        refused(saved)


def small_files() -> dict[str, bytes]:
    """Give the content of small files of every kind."""
    contents = {}
    with TemporaryDirectory() as folder:
        for make in (causal, encoder_decoder, everything):
            for compress in (False, True):
                path = Path(folder, f"{make.__name__}{compress}")
                make().save(path, compress=compress)
                contents[path.name] = path.read_bytes()
    for name in ("causal_occlusion.json", "causal_scores.json.gz", "translation_attention.json.gz"):
        content = (FOLDER / name).read_bytes()
        contents[name] = content
        contents[f"{name} unpacked"] = gzip.decompress(content) if "gz" in name else content
    return contents


FILES = small_files()


def shapes(output: FeatureAttributionOutput) -> list[object]:
    return [
        (one.scores.shape, {name: array.shape for name, array in one.kept.items()})
        for one in output
    ]


def opened(path: Path) -> FeatureAttributionOutput | None:
    """Open a file, or give None where it is refused in words."""
    try:
        return FeatureAttributionOutput.load(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"path: {path} cannot be read: ")
    return None


@settings(max_examples=400, deadline=2000)
@given(data=st.data())
def test_random_damage_is_refused_or_changes_no_shape(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    content = bytearray(FILES[name])
    # The first bytes decide most: they are damaged as often as all others.
    places = st.one_of(st.integers(0, 40), st.integers(0, len(content) - 1))
    for place in data.draw(st.lists(places, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        start = data.draw(places)
        content[start : start + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=60))
    if data.draw(st.booleans()):
        del content[data.draw(places) :]
    with TemporaryDirectory() as folder:
        path = Path(folder, "it")
        path.write_bytes(FILES[name])
        whole = FeatureAttributionOutput.load(path)
        path.write_bytes(content)
        output = opened(path)
        if output is None:
            return
        if "json" not in name:
            assert shapes(output) == shapes(whole)
        for one in output:
            assert len(one.to_dataframe()) <= one.scores.size
            assert one.source_attributions is not None or one.target_attributions is not None
        output.save(path, overwrite=True)
        again = FeatureAttributionOutput.load(path)
        assert_same(again, output)


@settings(max_examples=200, deadline=2000)
@given(data=st.data())
def test_random_values_in_the_header_are_refused_or_change_no_shape(data: st.DataObject) -> None:
    """Damage what a random byte seldom reaches: put any JSON in any place of the layout."""
    name = data.draw(st.sampled_from(["causalFalse", "everythingFalse"]))
    with TemporaryDirectory() as folder:
        path = Path(folder, "it")
        path.write_bytes(FILES[name])
        whole = FeatureAttributionOutput.load(path)
        metadata, layout, arrays = parts(path)
        place = data.draw(st.sampled_from(sorted(places_in(layout), key=str)))
        value = data.draw(
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats()
                | st.sampled_from(["", "raw", "sum", "input", "source", "\ud83d", "0/kept/raw"]),
                lambda inner: (
                    st.lists(inner, max_size=4)
                    | st.dictionaries(st.sampled_from(["raw", "dims", "a"]), inner, max_size=3)
                ),
            )
        )
        output = json.dumps(with_change(layout, place, lambda _: value))
        save_file(arrays, path, {**metadata, "output": output})
        loaded = opened(path)
        if loaded is None:
            return
        if place not in (("sequences",), ("sequences", 0, "kept")):
            assert shapes(loaded) == shapes(whole)
        loaded.save(path, overwrite=True)
        assert_same(FeatureAttributionOutput.load(path), loaded)


def places_in(node: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    places = []
    for key, value in inner:
        places.append((*place, key))
        if isinstance(value, dict | list):
            places += places_in(value, (*place, key))
    return places

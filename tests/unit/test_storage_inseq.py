"""Files that Inseq 0.7.1 wrote (tests/data/make_inseq_files.py) open with Inseq's own numbers."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from inseq_widget.results import FeatureAttributionOutput
from tests.unit.stored import assert_same

FOLDER = Path(__file__).parents[1] / "data" / "inseq"
FILES = sorted(path.name for path in FOLDER.glob("*.json*"))
# Inseq cannot open these itself: the same scores are in another of its files.
NOT_FOR_INSEQ = {
    "causal_saliency_primitives.json.gz": "causal_saliency.json",
    "causal_steps.json.gz": "causal_saliency.json",
}


def load(name: str) -> FeatureAttributionOutput:
    return FeatureAttributionOutput.load(FOLDER / name)


@pytest.fixture(scope="module")
def arrays() -> dict[str, torch.Tensor]:
    """Give what Inseq reads from its own files."""
    with safe_open(FOLDER / "expected.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}


@pytest.fixture(scope="module")
def tokens() -> dict[str, list[dict[str, list[list[object]]]]]:
    with safe_open(FOLDER / "expected.safetensors", "pt") as file:
        return json.loads(file.metadata()["tokens"])


def content_of(name: str) -> dict:
    content = (FOLDER / name).read_bytes()
    return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)


def equal(first: torch.Tensor | None, second: torch.Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    same = torch.equal(first.nan_to_num(7), second.nan_to_num(7))
    return same and torch.equal(first.isnan(), second.isnan())


def test_inseq_could_open_all_others(tokens) -> None:
    assert set(tokens) == set(FILES) - set(NOT_FOR_INSEQ)


@pytest.mark.parametrize("name", sorted(set(FILES) - set(NOT_FOR_INSEQ)))
def test_scores_and_tokens_are_those_that_inseq_reads(name: str, arrays, tokens) -> None:
    output = load(name)
    assert len(output) == len(tokens[name])
    for number, (one, expected) in enumerate(zip(output, tokens[name], strict=True)):
        where = f"{name}/{number}"
        assert [[token.piece, token.id] for token in one.source] == expected["source"]
        assert [[token.piece, token.id] for token in one.target] == expected["target"]
        assert [one.attr_pos_start, one.attr_pos_end] == expected["attr_pos"]
        if "dummy" in name:
            assert one.scores.isnull().all()
        else:
            for side in ("source_attributions", "target_attributions"):
                assert equal(getattr(one, side), arrays.get(f"{where}/{side}")), side
        for kind in ("step_scores", "sequence_scores"):
            own = getattr(one, kind)
            theirs = {key for key in arrays if key.startswith(f"{where}/{kind}/")}
            assert {f"{where}/{kind}/{key}" for key in own} == theirs
            for key, values in own.items():
                assert equal(values, arrays[f"{where}/{kind}/{key}"])


def test_files_that_inseq_cannot_open() -> None:
    for name, same in NOT_FOR_INSEQ.items():
        own, whole = load(name), load(same)
        last = [whole[len(whole) - len(own) + number] for number in range(len(own))]
        for one, other in zip(own, last, strict=True):
            assert equal(one.target_attributions, other.target_attributions)
            assert one.target == other.target
    steps = load("causal_steps.json.gz").step_attributions
    assert steps is not None
    written = content_of("causal_steps.json.gz")["attributes"]["step_attributions"]
    assert len(steps) == len(written)
    for step, other in zip(steps, written, strict=True):
        values = other["attributes"]["target_attributions"]["__ndarray__"]
        np.testing.assert_array_equal(step.target_attributions, np.float32(values))


@pytest.mark.parametrize(
    ("name", "dims", "architecture", "reduction"),
    [
        ("causal_saliency.json", ("feature",), "decoder_only", "norm"),
        ("causal_saliency_primitives.json.gz", ("feature",), "decoder_only", "norm"),
        ("causal_attention.json", ("layer", "head"), "decoder_only", "mean"),
        ("causal_attention_heads_joined.json.gz", ("layer",), "decoder_only", "mean"),
        ("causal_occlusion.json", (), "decoder_only", "mean"),
        ("causal_dummy.json.gz", (), "decoder_only", "mean"),
        ("translation_prefix.json.gz", ("feature",), "encoder_decoder", "norm"),
        ("translation_attention.json.gz", ("layer", "head"), "encoder_decoder", "mean"),
    ],
)
def test_dimensions_have_names(name: str, dims, architecture: str, reduction: str) -> None:
    one = load(name)[0]
    assert one.raw_scores.dims == ("input", "step", *dims)
    assert (one.architecture, one.reduction) == (architecture, reduction)
    assert one.scores.dims == ("input", "step")


@pytest.mark.parametrize("name", FILES)
def test_what_was_opened_can_be_saved_and_shown(name: str, tmp_path: Path) -> None:
    output = load(name)
    output.save(tmp_path / "it")
    assert_same(FeatureAttributionOutput.load(tmp_path / "it"), output)
    assert len(output.get_scores_dicts()) == len(output)
    if "dummy" not in name:
        assert len(output.to_dataframe())


def test_the_reduction_is_inseqs() -> None:
    """Compare the norm of what was saved with what Inseq aggregated itself."""
    ours, theirs = load("causal_saliency.json"), load("causal_scores.json.gz")
    for one, other in zip(ours, theirs, strict=True):
        scores = one.scores
        shares = scores / scores.sum("input")
        np.testing.assert_allclose(shares, other.scores, rtol=1e-5)


def test_info_is_that_of_inseq() -> None:
    info = load("causal_saliency.json").info
    written = content_of("causal_saliency.json")["attributes"]["info"]
    for key in ("model_class", "tokenizer_class", "attribution_method", "step_scores"):
        assert info[key] == written[key]
    for key in ("input_texts", "generated_texts", "exec_time", "constrained_decoding"):
        assert info[key] == written[key]
    assert info["attributed_fn"] == "probability"
    assert (info["model_name"], info["tokenizer_name"], info["model_revision"]) == ("", "", None)
    assert (info["signed"], info["aggregation"], info["versions"]) == (False, [], {})
    assert load("causal_attention.json").info["attributed_fn"] is None
    assert load("causal_occlusion.json").info["method_args"] == {"sliding_window_shapes": "[1, 4]"}
    for name in ("causal_scores.json.gz", "causal_merged.json.gz", "translation_merged.json.gz"):
        assert "Inseq" in load(name).info["aggregation"][0]


@pytest.mark.parametrize(
    "name", ["causal_saliency.json", "causal_attention.json", "translation_prefix.json.gz"]
)
def test_texts_of_tokens_join_to_the_text(name: str) -> None:
    output = load(name)
    info = output.info
    for one, source, target in zip(
        output, info["input_texts"], info["generated_texts"], strict=True
    ):
        assert "".join(token.text for token in one.source if not token.special) == source
        assert "".join(token.text for token in one.target if not token.special) == target


def test_sides_words_and_special_tokens() -> None:
    one = load("causal_saliency.json")[1]
    assert [token.text for token in one.target] == ["S", "he", " ", *[""] * 3, "😀", " ", "", "é"]
    assert [token.word for token in one.target] == [0, 0, 1, 2, 2, 2, 2, 3, 4, 4]
    assert [token.side for token in one.target] == ["prompt"] * 7 + ["target"] * 3
    assert [token.position for token in one.target] == list(range(10))
    other = load("translation_prefix.json.gz")[0]
    assert {token.side for token in other.source} == {"source"}
    assert {token.side for token in other.target} == {"target"}
    assert [t.piece for t in other.target if t.special] == ["<pad>", "</s>"]


def test_classes_are_never_imported(tmp_path: Path) -> None:
    before = set(sys.modules)
    content = content_of("causal_occlusion.json")
    content["__instance_type__"] = ["antigravity", "Evil"]
    sequence = content["attributes"]["sequence_attributions"][0]
    sequence["__instance_type__"] = ["os", "system"]
    sequence["attributes"]["source"][0]["__instance_type__"] = [None, "builtins"]
    (tmp_path / "it").write_text(json.dumps(content))
    assert_same(FeatureAttributionOutput.load(tmp_path / "it"), load("causal_occlusion.json"))
    assert {"antigravity", "inseq"}.isdisjoint(set(sys.modules) - before)


def as_ndarray(values: np.ndarray, form: str) -> dict[str, object]:
    """Write an array as Inseq did before it used safetensors, and does for steps."""
    if form == "lists":
        data: object = values.tolist()
    elif form == "b64":
        data = "b64:" + base64.b64encode(values.tobytes()).decode()
    else:
        data = "b64.gz:" + base64.b64encode(gzip.compress(values.tobytes())).decode()
    return {"__ndarray__": data, "dtype": str(values.dtype), "shape": list(values.shape)}


@pytest.mark.parametrize("form", ["lists", "b64", "gz"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_arrays_of_older_versions(form: str, dtype: str, tmp_path: Path) -> None:
    content = content_of("causal_occlusion.json")
    values = load("causal_occlusion.json")[0].target_attributions.numpy().astype(dtype)
    attributes = content["attributes"]["sequence_attributions"][0]["attributes"]
    attributes["target_attributions"] = as_ndarray(values, form)
    (tmp_path / "it").write_text(json.dumps(content))
    loaded = FeatureAttributionOutput.load(tmp_path / "it")[0].target_attributions
    assert equal(loaded, torch.from_numpy(values.astype(np.float32)))


def changed(key: str, value: object) -> dict:
    """Change one part of a file, named by its path; ``value`` may be a function of it."""
    content = copy.deepcopy(content_of("causal_occlusion.json"))
    *path, last = key.split("/")
    place = content["attributes"]
    for part in path:
        place = place[int(part) if isinstance(place, list) else part]
    if value is KeyError:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return content


ONE = "sequence_attributions/0/attributes"


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("sequence_attributions", KeyError, "sequence_attributions"),
        ("sequence_attributions", {}, "its sequences"),
        ("sequence_attributions", [3], "sequence_attributions[0] is 3"),
        ("info", KeyError, "info"),
        ("info", [], "info"),
        ("info/exec_time", "long", "info.exec_time"),
        ("info/input_texts", [3], "info.input_texts[0]"),
        ("info/generation_args", 3, "info.generation_args"),
        (f"{ONE}/source", KeyError, "source"),
        (f"{ONE}/source", "text", "source"),
        (f"{ONE}/target/0/attributes/id", "x", "target[0].id"),
        (f"{ONE}/target/0/attributes/id", 10**30, "64 bits"),
        (f"{ONE}/target/0/attributes/token", None, "target[0].token"),
        (f"{ONE}/attr_pos_start", -1, "attr_pos_start"),
        (f"{ONE}/attr_pos_start", 2, "shape"),
        (f"{ONE}/attr_pos_start", 1.5, "attr_pos_start"),
        (f"{ONE}/attr_pos_end", -5, "attr_pos_start"),
        (f"{ONE}/target_attributions", "AAAA", "target_attributions is no array"),
        (f"{ONE}/target_attributions", "no base64!", "target_attributions is no array"),
        (f"{ONE}/target_attributions", 3, "target_attributions is no array"),
        (f"{ONE}/target_attributions", [[1.0]], "shape (1, 1)"),
        (f"{ONE}/target_attributions", [[1.0], [2.0, 3.0]], "target_attributions is no array"),
        (f"{ONE}/target_attributions", [[{}]], "target_attributions is no array"),
        (f"{ONE}/target_attributions", {"__ndarray__": "x"}, "target_attributions"),
        (f"{ONE}/step_scores", [], "step_scores"),
        (f"{ONE}/step_scores", {"p": [1.0]}, "step_scores['p']"),
        (f"{ONE}/sequence_scores", {"x": [[1.0]]}, "sequence_scores['x']"),
        (
            f"{ONE}/target_attributions",
            {"__ndarray__": "b64:AAAA", "dtype": "object", "shape": [1]},
            "its type is 'object'",
        ),
        (
            f"{ONE}/target_attributions",
            {"__ndarray__": "b64:AAAA", "dtype": "float32", "shape": [2**40, 2**40]},
            "bytes of its shape",
        ),
        (
            f"{ONE}/target_attributions",
            {"__ndarray__": "zip:AAAA", "dtype": "float32", "shape": [1]},
            "it begins with 'zip'",
        ),
        (
            f"{ONE}/target_attributions",
            {"__ndarray__": [1.0], "dtype": "float32", "shape": [-1]},
            "its shape is",
        ),
    ],
)
def test_damaged_files_say_what_is_wrong(key: str, value: object, named: str, tmp_path) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(changed(key, value)))
    with pytest.raises(ValueError, match=r"damaged\.json") as caught:
        FeatureAttributionOutput.load(path)
    assert named in str(caught.value)


def test_a_bomb_inside_an_array_is_not_unpacked(tmp_path: Path) -> None:
    size = 1 << 28
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = bytes(1 << 20)
    packed = b"".join(packer.compress(chunk) for _ in range(size >> 20)) + packer.flush()
    bomb = {
        "__ndarray__": "b64.gz:" + base64.b64encode(packed).decode(),
        "dtype": "float32",
        "shape": [6, 2, size // 48],
    }
    (tmp_path / "it").write_text(json.dumps(changed(f"{ONE}/target_attributions", bomb)))
    with pytest.raises(ValueError, match="would unpack to"):
        FeatureAttributionOutput.load(tmp_path / "it")

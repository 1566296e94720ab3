"""A saved output comes back as it was, and the file is what docs/files.md says."""

from __future__ import annotations

import gzip
import json
import re
import stat
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from inseq_widget.results import (
    FeatureAttributionOutput,
    FeatureAttributionSequenceOutput,
    Token,
)
from inseq_widget.results.labelling import labelled
from inseq_widget.results.storage.layout import OutputLayout, SequenceLayout, TokenColumns
from tests.unit.outputs import causal, encoder_decoder
from tests.unit.stored import assert_same, everything, evil_tokens

DOCS = Path(__file__).parents[2] / "docs" / "files.md"


def with_raw(values: np.ndarray) -> FeatureAttributionOutput:
    """Put scores, (input, step, ...), with features where there is a third dimension, in place."""
    output = causal()
    one = output[0]
    dims = ["feature"][: values.ndim - 2]
    kept = {"raw": labelled(values, one.inputs, one.steps, dims)}
    output.sequence_attributions = [replace(one, kept=kept, reduction="sum", step_scores={})]
    return output


def random_raw(size: float = 1.0, dtype: type = np.float32) -> np.ndarray:
    one = causal()[0]
    shape = (len(one.inputs), len(one.steps), 16)
    return (np.random.default_rng(1).normal(size=shape) * size).astype(dtype)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("make", [everything, causal, encoder_decoder, evil_tokens])
def test_an_output_comes_back_as_it_was(tmp_path: Path, make, compress: bool) -> None:
    output = make()
    path = tmp_path / "output.safetensors"
    output.save(path, compress=compress)
    assert_same(FeatureAttributionOutput.load(path), output)


def test_every_field_of_a_result_has_its_place_in_the_file() -> None:
    names = {field.name for field in fields(FeatureAttributionSequenceOutput)}
    assert names - {"live_model"} == set(SequenceLayout.__annotations__) - {"n_source_inputs"}
    assert {field.name for field in fields(Token)} == set(TokenColumns.__annotations__)
    own = {"sequence_attributions": "sequences", "info": "infos"}
    names = {own.get(field.name, field.name) for field in fields(FeatureAttributionOutput)}
    of_storage = {"scores_precision", "scales"}
    assert names - {"live_model"} == set(OutputLayout.__annotations__) - of_storage


def test_equal_infos_are_one_object_again(tmp_path: Path) -> None:
    everything().save(tmp_path / "it")
    loaded = FeatureAttributionOutput.load(tmp_path / "it")
    assert loaded[0].info is loaded.info
    assert loaded[1].info is not loaded.info
    assert loaded[1].info["aggregation"] == ["spans joined"]


def test_the_model_is_not_saved(tmp_path: Path) -> None:
    class Model:
        model_name = "secret"

    causal(live_model=Model()).save(tmp_path / "it")
    assert FeatureAttributionOutput.load(tmp_path / "it").live_model is None
    assert b"secret" not in (tmp_path / "it").read_bytes()


def test_an_output_without_sequences(tmp_path: Path) -> None:
    output = replace(causal(), sequence_attributions=[])
    output.save(tmp_path / "it")
    assert_same(FeatureAttributionOutput.load(tmp_path / "it"), output)


def test_arrays_that_share_memory_come_back_apart(tmp_path: Path) -> None:
    output = causal()
    one = output[0]
    both = torch.arange(2.0 * len(one.steps)).reshape(2, -1)
    step_scores = {"first": both[0], "second": both[1], "again": both[0]}
    output.sequence_attributions = [replace(one, step_scores=step_scores)]
    output.save(tmp_path / "it")
    assert_same(FeatureAttributionOutput.load(tmp_path / "it"), output)


def test_what_was_loaded_does_not_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "it"
    output = with_raw(random_raw())
    output.save(path)
    loaded = FeatureAttributionOutput.load(path)
    with path.open("r+b") as file:  # in place, as no save of this package does it
        file.write(b"\xff" * path.stat().st_size)
    assert_same(loaded, output)


@pytest.mark.parametrize(
    ("precision", "relative", "normal"),
    # Half the distance of neighbours, and where they begin to be equally far apart.
    [("float16", 2**-11, 2**-28), ("float8", 2**-4, 2**-13)],
)
@pytest.mark.parametrize("size", [1e-30, 1e-7, 1.0, 1e7, 1e30])
def test_scores_are_rounded_relative_to_their_size(
    tmp_path: Path, precision, relative: float, normal: float, size: float
) -> None:
    raw = random_raw(size)
    raw[0, 0, 0] = np.nan
    raw[0, 0, 1] = np.nanmax(abs(raw)) * normal * 1.01
    output = with_raw(raw)
    output.save(tmp_path / "it", scores_precision=precision)
    loaded = FeatureAttributionOutput.load(tmp_path / "it")[0].raw_scores
    assert loaded.dtype == np.float32
    values = loaded.to_numpy()
    np.testing.assert_array_equal(np.isnan(values), np.isnan(raw))
    large = abs(raw) >= np.nanmax(abs(raw)) * normal
    assert large[0, 0, 1]
    np.testing.assert_allclose(values[large], raw[large], rtol=relative, atol=0)
    assert (values[large] != raw[large]).any()


@pytest.mark.parametrize(("precision", "dtype"), [("float16", "F16"), ("float8", "F8_E4M3")])
def test_rounded_scores_take_less_room(tmp_path: Path, precision, dtype: str) -> None:
    with_raw(random_raw()).save(tmp_path / "it", scores_precision=precision)
    with safe_open(tmp_path / "it", "pt") as file:
        assert file.get_slice("0/kept/raw").get_dtype() == dtype


@pytest.mark.parametrize("precision", ["float16", "float8"])
def test_nothing_but_zeros_and_gaps_is_rounded(tmp_path: Path, precision) -> None:
    for value in (0.0, np.nan):
        output = with_raw(np.full_like(random_raw(), value))
        output.save(tmp_path / "it", overwrite=True, scores_precision=precision)
        assert_same(FeatureAttributionOutput.load(tmp_path / "it"), output)


def test_float32_rounds_doubles_and_the_default_keeps_them(tmp_path: Path) -> None:
    output = with_raw(random_raw(dtype=np.float64))
    output.save(tmp_path / "same")
    assert_same(FeatureAttributionOutput.load(tmp_path / "same"), output)
    output.save(tmp_path / "single", scores_precision="float32")
    single = with_raw(random_raw(dtype=np.float64).astype(np.float32))
    assert_same(FeatureAttributionOutput.load(tmp_path / "single"), single)


def test_whole_numbers_are_never_rounded(tmp_path: Path) -> None:
    output = causal()
    scores = {"top_p_size": torch.tensor([100_003, 2, 3, 4])}
    output.sequence_attributions = [replace(output[0], step_scores=scores)]
    output.save(tmp_path / "it", scores_precision="float8")
    loaded = FeatureAttributionOutput.load(tmp_path / "it")[0]
    assert_same(loaded.step_scores, scores)


def test_numbers_that_a_precision_does_not_have_are_refused(tmp_path: Path) -> None:
    beyond = with_raw(random_raw(1e300, np.float64))
    for precision in ("float32", "float16", "float8"):
        with pytest.raises(ValueError, match=r"scores_precision.*3\.4e38"):
            beyond.save(tmp_path / "it", scores_precision=precision)
    infinite = everything()
    with pytest.raises(ValueError, match=r"float8.*infinite"):
        infinite.save(tmp_path / "it", scores_precision="float8")
    assert list(tmp_path.iterdir()) == []
    infinite.save(tmp_path / "it", scores_precision="float16")
    loaded = FeatureAttributionOutput.load(tmp_path / "it")
    assert loaded[0].step_scores["bits/é\u2028"].eq(-torch.inf).all()


@pytest.mark.parametrize(
    ("name", "compress", "expected"),
    [
        ("out.safetensors", False, "out_{}.safetensors"),
        ("out.safetensors", True, "out_{}.safetensors.gz"),
        ("out.json.gz", True, "out_{}.json.gz"),
        ("out", False, "out_{}"),
        ("a.b.c", False, "a.b_{}.c"),
    ],
)
def test_one_file_for_each_sequence(
    tmp_path: Path, name: str, compress: bool, expected: str
) -> None:
    output = everything()
    output.info["input_texts"] = [f"text {number}" for number in range(len(output))]
    output.save(tmp_path / name, split_sequences=True, compress=compress)
    names = [expected.format(number) for number in range(len(output))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for number, each in enumerate(names):
        loaded = FeatureAttributionOutput.load(tmp_path / each)
        assert_same(loaded[0].kept, output[number].kept)
        assert loaded.info["input_texts"] == [f"text {number}"]
        assert loaded.info["generated_texts"] == output.info["generated_texts"]


def test_a_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "it"
    causal().save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        encoder_decoder().save(path)
    assert path.read_bytes() == before
    encoder_decoder().save(path, overwrite=True)
    assert FeatureAttributionOutput.load(path)[0].architecture == "encoder_decoder"


def test_one_of_several_files_that_exists_stops_all(tmp_path: Path) -> None:
    (tmp_path / "out_2").write_text("mine")
    with pytest.raises(FileExistsError, match="out_2"):
        everything().save(tmp_path / "out", split_sequences=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out_2"]


def test_arguments_that_change_nothing_say_so(tmp_path: Path) -> None:
    for argument in ({"ndarray_compact": False}, {"use_primitives": True}):
        with pytest.warns(UserWarning, match="change nothing") as caught:
            causal().save(tmp_path / "it", overwrite=True, **argument)
        assert caught[0].filename == __file__
    assert_same(FeatureAttributionOutput.load(tmp_path / "it", decompress=True), causal())


def test_paths_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("relative", tmp_path / "absolute", "über \u2603.json", "~"):
        causal().save(path)
        assert_same(FeatureAttributionOutput.load(path), causal())
    assert (tmp_path / "~").is_file()
    with pytest.raises(FileNotFoundError, match="expanduser"):
        causal().save("~x/out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        causal().save(tmp_path / "missing" / "out")
    with pytest.raises(IsADirectoryError, match="folder"):
        causal().save(tmp_path, overwrite=True)
    with pytest.raises(TypeError, match="path: 3"):
        causal().save(3)
    with pytest.raises(TypeError, match="path: None"):
        FeatureAttributionOutput.load(None)
    with pytest.raises(FileNotFoundError, match="no file nowhere"):
        FeatureAttributionOutput.load("nowhere")


def test_a_file_has_the_permissions_of_the_user_or_of_the_one_it_replaces(tmp_path: Path) -> None:
    path, plain = tmp_path / "it", tmp_path / "plain"
    plain.touch()
    causal().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o640)
    causal().save(path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    real, link = tmp_path / "folder" / "real", tmp_path / "link"
    causal().save(real)
    link.symlink_to(real)
    encoder_decoder().save(link, overwrite=True)
    assert link.is_symlink()
    assert FeatureAttributionOutput.load(real)[0].architecture == "encoder_decoder"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scores_precision": "float4"}, "scores_precision: 'float4'"),
        ({"scores_precision": 16}, "scores_precision: 16"),
    ],
)
def test_arguments_that_are_not_known_are_refused(tmp_path: Path, change, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        causal().save(tmp_path / "it", **change)
    assert list(tmp_path.iterdir()) == []


def broken(**changes: object) -> FeatureAttributionOutput:
    output = causal()
    output.sequence_attributions = [replace(output[0], **changes)]
    return output


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (broken(attr_pos_end=5), "steps"),
        (broken(reduction="unheard"), "unheard"),
        (broken(step_scores={"\ud83d": torch.zeros(4)}), "unicode"),
        (broken(step_scores={"p": torch.zeros(3)}), "step_scores['p']"),
        (broken(step_scores={"p": torch.zeros(4, dtype=torch.complex64)}), "complex64"),
        (broken(sequence_scores={"encoder": torch.zeros(1, 1)}), "sequence_scores['encoder']"),
        (broken(step_scores={"p": torch.zeros(4, dtype=torch.bfloat16)}), "bfloat16"),
        (broken(step_aggregates={"p": {"spans": 3}}), "step_aggregates"),
        (broken(info={**causal().info, "signed": "yes"}), "infos[1].signed"),
    ],
)
def test_a_result_that_could_not_be_read_is_not_written(
    tmp_path: Path, output: FeatureAttributionOutput, named: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        output.save(tmp_path / "it")
    assert list(tmp_path.iterdir()) == []


def test_the_documented_layout_is_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    output = with_raw(random_raw())
    output.save("out.safetensors", scores_precision="float16")
    example = re.search(r"```python\n(import json.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    assert example is not None
    assert "inseq_widget" not in example.group(1)
    names: dict[str, object] = {}
    exec(compile(example.group(1), str(DOCS), "exec"), names)
    np.testing.assert_array_equal(names["scores"], random_raw().astype(np.float16))
    one = output[0]
    assert names["inputs"] == [token.text for token in one.inputs]
    assert names["steps"] == [token.text for token in one.steps]
    assert output.info["model_name"] in capsys.readouterr().out


def test_the_documents_name_every_part_of_the_layout() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for layout in (OutputLayout, SequenceLayout, TokenColumns):
        for name in layout.__annotations__:
            assert f"`{name}`" in text, name


def test_safetensors_alone_reads_the_arrays(tmp_path: Path) -> None:
    output = everything()
    output.save(tmp_path / "it")
    arrays = load_file(tmp_path / "it")
    np.testing.assert_array_equal(arrays["0/kept/raw"], output[0].raw_scores.to_numpy())
    torch.testing.assert_close(
        arrays["1/step_scores/probability"], output[1].step_scores["probability"], rtol=0, atol=0
    )


def test_gzip_alone_unpacks_a_compressed_file(tmp_path: Path) -> None:
    everything().save(tmp_path / "packed", compress=True)
    packed = (tmp_path / "packed").read_bytes()
    (tmp_path / "plain").write_bytes(gzip.decompress(packed))
    assert_same(FeatureAttributionOutput.load(tmp_path / "plain"), everything())
    assert len(packed) < (tmp_path / "plain").stat().st_size


def test_a_file_of_before_a_field_was_added_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "it"
    causal().save(path)
    with safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["output"])
    arrays = load_file(path)
    for key in ("versions", "aggregation", "model_revision", "signed", "exec_time"):
        del metadata["infos"][0][key]
    metadata["infos"][0]["of_a_later_version"] = "ignored"
    written = {"format": "inseq-widget", "version": "1", "output": json.dumps(metadata)}
    save_file(arrays, path, written)
    info = FeatureAttributionOutput.load(path).info
    assert info["model_name"] == causal().info["model_name"]
    assert (info["versions"], info["aggregation"], info["model_revision"]) == ({}, [], None)
    assert (info["signed"], info["exec_time"]) == (False, 0.0)
    assert "of_a_later_version" not in info


@pytest.mark.parametrize(
    ("method", "keywords"),
    [
        ("saliency", {"attributed_fn": "contrast_prob_diff", "contrast_targets": "A book and"}),
        ("attention", {"step_scores": ["entropy"]}),
        ("occlusion", {}),
    ],
)
def test_what_a_model_gives_comes_back_as_it_was(
    tiny, tmp_path: Path, method: str, keywords: dict[str, object]
) -> None:
    output = tiny.attribute("A book", "A book is", method, show_progress=False, **keywords)
    output.save(tmp_path / "it")
    loaded = FeatureAttributionOutput.load(tmp_path / "it")
    assert_same(loaded, output)
    assert loaded.live_model is None
    assert loaded.info["method_args"] == output.info["method_args"]
    assert loaded.info["versions"]["inseq-widget"]

"""The translation model is an ordinary transformers model: cache, beams, padding, gradients."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import AutoModelForSeq2SeqLM

import inseq_widget as iw
from inseq_widget.models.demo.bergamot import (
    BergamotConfig,
    BergamotForConditionalGeneration,
    load_bergamot,
)
from inseq_widget.models.demo.bergamot.loading import model_folder
from inseq_widget.models.demo.bergamot.marian_file import read_marian_file
from inseq_widget.models.demo.bergamot.modeling import SimplerSimpleRecurrentUnit

SENTENCE = "The nurse said that she was tired."


@pytest.fixture(scope="module")
def file() -> Path:
    return next(model_folder("en-pt").glob("model.*.bin"))


@pytest.fixture(scope="module")
def model(bergamot: iw.AttributionModel) -> BergamotForConditionalGeneration:
    return bergamot.model


def test_the_nurse_is_a_woman_in_portuguese(bergamot: iw.AttributionModel) -> None:
    assert bergamot.generate(SENTENCE) == ["A enfermeira disse que estava cansada."]


@pytest.mark.parametrize("options", [{}, {"num_beams": 4}])
def test_caching_the_recurrent_state_changes_nothing(
    bergamot: iw.AttributionModel, options: dict[str, int]
) -> None:
    batch = bergamot.tokenizer([SENTENCE, "Good morning."], return_tensors="pt", padding=True)
    cached = bergamot.model.generate(**batch, **options)
    uncached = bergamot.model.generate(**batch, **options, use_cache=False)
    assert cached.tolist() == uncached.tolist()


def test_a_cached_step_reads_one_token(
    bergamot: iw.AttributionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    forward = SimplerSimpleRecurrentUnit.forward

    def counting(
        unit: SimplerSimpleRecurrentUnit, hidden: torch.Tensor, cache: object
    ) -> torch.Tensor:
        lengths.append(hidden.shape[1])
        return forward(unit, hidden, cache)

    monkeypatch.setattr(SimplerSimpleRecurrentUnit, "forward", counting)
    bergamot.model.generate(**bergamot.tokenizer(SENTENCE, return_tensors="pt"))
    assert set(lengths) == {1}


def test_a_better_beam_is_found(bergamot: iw.AttributionModel) -> None:
    batch = bergamot.tokenizer("He forgot his keys at the office again.", return_tensors="pt")

    def log_probability(**options: int) -> float:
        written = bergamot.model.generate(**batch, **options)
        logits = bergamot.model(**batch, decoder_input_ids=written[:, :-1]).logits
        chosen = logits.log_softmax(-1).gather(2, written[:, 1:, None])
        return float(chosen.detach().sum())

    assert log_probability(num_beams=6, length_penalty=0.0) >= log_probability()


def test_padding_changes_no_logit(bergamot: iw.AttributionModel) -> None:
    ids = torch.tensor([[32_000, 5, 6, 7]])
    batch = bergamot.tokenizer(["Good morning.", SENTENCE], return_tensors="pt", padding=True)
    alone = bergamot.tokenizer("Good morning.", return_tensors="pt")
    together = bergamot.model(**batch, decoder_input_ids=ids.expand(2, -1)).logits[0]
    torch.testing.assert_close(
        together, bergamot.model(**alone, decoder_input_ids=ids).logits[0], atol=1e-4, rtol=1e-4
    )


def test_the_recurrent_unit_follows_its_definition() -> None:
    torch.manual_seed(0)
    unit = SimplerSimpleRecurrentUnit(BergamotConfig(d_model=8), 0).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    memory = torch.zeros(2, 8, dtype=torch.float64)
    for position, actual in enumerate(unit(x, None).unbind(1)):
        forget = torch.sigmoid(unit.forget_proj(x[:, position]))
        memory = forget * memory + (1 - forget) * unit.input_proj(x[:, position])
        torch.testing.assert_close(actual, memory.clamp(min=0), rtol=1e-12, atol=1e-12)


def test_cross_attention_sums_to_one_and_backends_agree(bergamot: iw.AttributionModel) -> None:
    model = bergamot.model
    batch = bergamot.tokenizer(SENTENCE, return_tensors="pt")
    ids = torch.tensor([[32_000, 5, 6, 7]])
    before = model.config._attn_implementation
    assert before == "sdpa"
    fused = model(**batch, decoder_input_ids=ids).logits
    model.set_attn_implementation("eager")
    try:
        output = model(**batch, decoder_input_ids=ids, output_attentions=True)
    finally:
        model.set_attn_implementation(before)
    torch.testing.assert_close(output.logits, fused, atol=1e-4, rtol=1e-4)
    assert len(output.cross_attentions) == 2
    assert len(output.encoder_attentions) == 6
    for weights in output.cross_attentions:
        assert weights.shape == (1, 8, 4, batch["input_ids"].shape[1])
        torch.testing.assert_close(weights.sum(-1), torch.ones(1, 8, 4))


def test_the_target_begins_with_a_zero_vector(model: BergamotForConditionalGeneration) -> None:
    start = torch.tensor([model.config.decoder_start_token_id])
    assert model.decoder.embed_tokens(start).abs().max() == 0


def test_saving_and_loading_gives_the_same_model(
    bergamot: iw.AttributionModel, tmp_path: Path
) -> None:
    bergamot.model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    batch = bergamot.tokenizer(SENTENCE, return_tensors="pt")
    assert loaded.generate(**batch).tolist() == bergamot.model.generate(**batch).tolist()


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "naïve café, coração e ação",
        "two  spaces and a tab\there ",
        " leading space",
        "emoji 😀 and 日本語 and مرحبا",
        "e\u0301 combining",
        "ALL CAPS 1,234.56 €",
    ],
)
@pytest.mark.parametrize("direction", ["en-pt", "pt-en"])
def test_the_tokenizer_gives_the_ids_of_sentencepiece(direction: str, text: str) -> None:
    folder = model_folder(direction)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(next(folder.glob("*.spm"))))
    _, tokenizer = load_bergamot(direction)
    assert tokenizer(text)["input_ids"] == [*reference.encode(text), 0]


@pytest.mark.parametrize("kept", [0, 10, 100, 40_000, 1_000_000])
def test_a_file_that_ends_early_is_refused(file: Path, tmp_path: Path, kept: int) -> None:
    damaged = tmp_path / "model.bin"
    damaged.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.bin (ends|announces) .* damaged or no binary"):
        read_marian_file(damaged)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "model.bin"
    other.write_bytes(b"PK\x03\x04" + bytes(1000))
    with pytest.raises(ValueError, match=r"has version .* instead of 1"):
        read_marian_file(other)


def test_a_file_that_goes_on_after_its_last_tensor_is_refused(file: Path, tmp_path: Path) -> None:
    longer = tmp_path / "model.bin"
    longer.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"goes on for 1 bytes after its last tensor"):
        read_marian_file(longer)


def marian_file(kind: int, shape: tuple[int, ...], data: bytes) -> bytes:
    """Write a Marian model of one tensor."""
    name = b"decoder_W\0"
    record = struct.pack("<4Q", len(name), kind, len(shape), len(data))
    dimensions = struct.pack(f"<{len(shape)}i", *shape)
    return struct.pack("<2Q", 1, 1) + record + name + dimensions + struct.pack("<Q", 0) + data


def test_an_integer_matrix_is_divided_by_its_multiplier_and_turned(tmp_path: Path) -> None:
    data = bytes([1, 2, 3, 4, 5, 0xFA]) + struct.pack("<f", 2.0) + bytes(252)
    (tmp_path / "model.bin").write_bytes(marian_file(0x4101, (2, 3), data))
    (matrix,) = read_marian_file(tmp_path / "model.bin").values()
    assert matrix.tolist() == [[0.5, 1.5, 2.5], [1.0, 2.0, -3.0]]


@pytest.mark.parametrize(
    ("kind", "shape", "data", "message"),
    [
        (0x4101, (1, 2), bytes(258), r"has the multiplier 0\.0 for decoder_W"),
        (0x4101, (1, 2), bytes(9), r"has 9 bytes for decoder_W of shape \(1, 2\)"),
        (0x404, (-1, -2), bytes(8), r"has 8 bytes for decoder_W of shape \(-1, -2\)"),
        (0x404, (1, 1), struct.pack("<f", float("nan")), r"values in decoder_W that are not"),
        (0x999, (1, 1), bytes(4), r"has the unknown type 0x999 for decoder_W"),
    ],
)
def test_an_impossible_tensor_is_refused(
    tmp_path: Path, kind: int, shape: tuple[int, ...], data: bytes, message: str
) -> None:
    (tmp_path / "model.bin").write_bytes(marian_file(kind, shape, data))
    with pytest.raises(ValueError, match=message):
        read_marian_file(tmp_path / "model.bin")


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match=r"direction: 'en-de' given; there are en-pt, pt-en"):
        load_bergamot("en-de")


def test_attention_to_the_prefix_of_a_recurrent_decoder_is_refused(
    bergamot: iw.AttributionModel,
) -> None:
    with pytest.raises(NotImplementedError, match=r"attribute_target: .* no attention to its"):
        bergamot.attribute(SENTENCE, method="attention", attribute_target=True, show_progress=False)

"""Writes tests/data/inseq with Inseq 0.7.1 itself; run it in Inseq's own environment.

    tests/bench/.venv-inseq/bin/python tests/data/make_inseq_files.py

The models are tiny and random and their tokenizers are trained here, so nothing is downloaded.
What Inseq reads back from its own files lies beside them as plain tensors, in
``expected.safetensors``: the reader of this package is compared with it.
"""

from __future__ import annotations

import json
from pathlib import Path

import inseq  # type: ignore[import-not-found]
import torch
from inseq import FeatureAttributionOutput
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

HERE = Path(__file__).parent / "inseq"
CORPUS = ["The nurse was tired, she said.", "A enfermeira estava cansada, disse ela."] * 4


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=end, pad_token=end, unk_token=end
    )


def sentence_piece_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=90, special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def causal() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=320,
        n_positions=64,
        n_embd=4,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    config._attn_implementation = "eager"
    return GPT2LMHeadModel(config).eval()


def translator() -> BartForConditionalGeneration:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=90,
        d_model=4,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    config._attn_implementation = "eager"
    return BartForConditionalGeneration(config).eval()


class Files:
    """The files as they are written, and what Inseq reads back from them."""

    def __init__(self) -> None:
        self.arrays: dict[str, torch.Tensor] = {}
        self.tokens: dict[str, object] = {}

    def write(self, name: str, output: FeatureAttributionOutput, **keywords: object) -> None:
        path = HERE / name
        output.save(path, compress=path.suffix == ".gz", **keywords)
        # Inseq cannot read primitives and steps itself.
        if "use_primitives" not in keywords and output.step_attributions is None:
            self.note(path)

    def note(self, path: Path) -> None:
        output = FeatureAttributionOutput.load(path, decompress=path.suffix == ".gz")
        noted = []
        for number, one in enumerate(output.sequence_attributions):
            where = f"{path.name}/{number}"
            for side in ("source_attributions", "target_attributions"):
                if getattr(one, side) is not None:
                    self.arrays[f"{where}/{side}"] = getattr(one, side).contiguous()
            for kind in ("step_scores", "sequence_scores"):
                for key, values in (getattr(one, kind) or {}).items():
                    self.arrays[f"{where}/{kind}/{key}"] = values.contiguous()
            noted.append(
                {
                    "source": [[token.token, token.id] for token in one.source],
                    "target": [[token.token, token.id] for token in one.target],
                    "attr_pos": [one.attr_pos_start, one.attr_pos_end],
                }
            )
        self.tokens[path.name] = noted

    def finish(self) -> None:
        metadata = {"tokens": json.dumps(self.tokens)}
        save_file(self.arrays, HERE / "expected.safetensors", metadata=metadata)


def write_causal(files: Files) -> None:
    model = inseq.load_model(causal(), "saliency", tokenizer=byte_level_tokenizer())
    texts = ["The nurse said", "She 😀"]
    forced = ["The nurse said she was", "She 😀 é"]
    quiet = {"show_progress": False}

    saliency = model.attribute(texts, forced, step_scores=["probability", "entropy"], **quiet)
    files.write("causal_saliency.json", saliency)
    files.write("causal_saliency_float16.json.gz", saliency, scores_precision="float16")
    files.write("causal_saliency_float8.json.gz", saliency, scores_precision="float8")
    files.write("causal_saliency_lists.json.gz", saliency, ndarray_compact=False)
    files.write("causal_saliency_primitives.json.gz", saliency, use_primitives=True)
    files.write("causal_scores.json.gz", saliency.aggregate())
    merged = saliency.aggregate("subwords", special_chars=("Ġ", "Ċ"))
    files.write("causal_merged.json.gz", merged)
    saliency.save(HERE / "causal_split.json", split_sequences=True, compress=True)
    for number in range(2):
        files.note(HERE / f"causal_split_{number}.json.gz")

    steps = model.attribute(texts[1:], forced[1:], output_step_attributions=True, **quiet)
    files.write("causal_steps.json.gz", steps, ndarray_compact=False)
    occlusion = model.attribute(texts[0], forced[0], "occlusion", **quiet)
    files.write("causal_occlusion.json", occlusion)
    attention = model.attribute(texts[0], forced[0], "attention", **quiet)
    files.write("causal_attention.json", attention)
    without_heads = attention.aggregate("mean", do_post_aggregation_checks=False)
    files.write("causal_attention_heads_joined.json.gz", without_heads)
    first = len(model.tokenizer(texts[0])["input_ids"])
    for name, start, end in (("inside", first, first + 1), ("end", first + 1, first + 2)):
        window = {"attr_pos_start": start, "attr_pos_end": end, **quiet}
        output = model.attribute(texts[0], forced[0], **window)
        files.write(f"causal_window_{name}.json.gz", output)
    dummy = model.attribute(texts[0], forced[0], "dummy", **quiet)
    files.write("causal_dummy.json.gz", dummy)


def write_translation(files: Files) -> None:
    model = inseq.load_model(translator(), "saliency", tokenizer=sentence_piece_tokenizer())
    texts = ["The nurse was tired.", "she"]
    forced = ["A enfermeira estava", "ela"]
    quiet = {"show_progress": False}
    files.write("translation_saliency.json.gz", model.attribute(texts, forced, **quiet))
    with_prefix = model.attribute(texts, forced, attribute_target=True, **quiet)
    files.write("translation_prefix.json.gz", with_prefix)
    merged = with_prefix.aggregate(["subwords", "scores"])
    files.write("translation_merged.json.gz", merged)
    attention = model.attribute(texts, forced, "attention", attribute_target=True, **quiet)
    files.write("translation_attention.json.gz", attention)


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    files = Files()
    write_causal(files)
    write_translation(files)
    files.finish()


if __name__ == "__main__":
    main()

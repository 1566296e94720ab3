"""Each step as a game of its own: its own prefix, run with every coalition of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from math import comb

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnLinearModel
from captum.attr import LimeBase
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import PreTrainedTokenizerFast

import inseq_widget as iw
from inseq_widget.results import FeatureAttributionSequenceOutput
from tests.parity.stepwise import MAKERS, Step, steps_of

Place = tuple[str, int]


TEXTS = (
    "Two words become three and four.",
    "Good morning to all of you and more of it. Bom dia, um dois tres quatro cinco seis!",
    "One is here. Two came. Three left! Two ant eater",
)


def small(name: str) -> iw.AttributionModel:
    """Make a tiny model in double precision that knows few words: the output head is cheap.

    The tokenizer of an encoder-decoder model ends a text with its end-of-sequence token.
    """
    pieces = Tokenizer(BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=1000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator(TEXTS, trainer)
    network = MAKERS[name]()
    if network.config.is_encoder_decoder:
        pieces.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    network.resize_token_embeddings(pieces.get_vocab_size())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
    )
    return iw.load_model(network, "saliency", tokenizer=tokenizer)


class StepGame:
    """What a step puts out when only some groups of its input tokens are there.

    ``players`` are the numbers of the groups that the step sees; groups of tokens that are their
    own baseline do not play.
    """

    def __init__(
        self, step: Step, groups: Sequence[Sequence[Place]], numbers: Sequence[int]
    ) -> None:
        self.step = step
        self.column = step.column
        widths = {stack: x.shape[1] for stack, x in step.inputs.items()}
        self.players = [n for n in numbers if any(p < widths[stack] for stack, p in groups[n])]
        self.numbers = list(numbers)
        self._groups = groups
        self._known: dict[frozenset[int], Tensor] = {}

    def run(self, coalitions: Iterable[frozenset[int]]) -> None:
        """Run the step with each coalition, and with all that does not play."""
        seen = {coalition & frozenset(self.players) for coalition in coalitions}
        new = [coalition for coalition in seen if coalition not in self._known]
        if not new:
            return
        rows = {stack: x.repeat(len(new), 1, 1) for stack, x in self.step.inputs.items()}
        for row, coalition in enumerate(new):
            for number in set(self.players) - coalition:
                for stack, place in self._groups[number]:
                    if place < rows[stack].shape[1]:
                        rows[stack][row, place] = self.step.baselines[stack][0, place]
        network = self.step.model
        fixed = [x.expand(len(new), -1, -1) for x in self.step.fixed]
        given = dict(zip(network.names, [*rows.values(), *fixed], strict=True))
        with torch.no_grad():
            logits = network.model(**given, use_cache=False).logits[:, -1]
        self._known.update(zip(new, logits, strict=True))

    def logits(self, coalition: frozenset[int]) -> Tensor:
        coalition &= frozenset(self.players)
        self.run([coalition])
        return self._known[coalition]

    def value(self, coalition: frozenset[int]) -> float:
        return float(self.logits(coalition).softmax(-1)[self.step.model.target])

    def log_odds(self, coalition: frozenset[int]) -> float:
        probability = self.value(coalition)
        return float(np.log(probability) - np.log1p(-probability))

    def of_row(self, row: Tensor) -> frozenset[int]:
        """Give the coalition that a row (player,) of truth values stands for."""
        return frozenset(np.array(self.numbers)[row.numpy()].tolist())

    def seen(self, rows: Tensor) -> Tensor:
        """Cut rows (coalition, player) to the players of this step."""
        return rows[:, [self.numbers.index(player) for player in self.players]]

    def shapley_values(self) -> dict[int, float]:
        """Average what a player adds to every coalition of the others."""
        values = dict.fromkeys(self.players, 0.0)
        sizes = range(len(self.players) + 1)
        self.run(frozenset(c) for size in sizes for c in combinations(self.players, size))
        for player in self.players:
            others = [other for other in self.players if other != player]
            for size in range(len(others) + 1):
                weight = 1 / (len(self.players) * comb(len(others), size))
                for members in combinations(others, size):
                    before = frozenset(members)
                    gain = self.value(before | {player}) - self.value(before)
                    values[player] += weight * gain
        return values


def inputs_of(sequence: FeatureAttributionSequenceOutput, stacks: tuple[str, ...]) -> list[Place]:
    """List the places of the attributed inputs, in the order of the scores' rows."""
    counts = {"source": len(sequence.source), "target": sequence.attr_pos_end - 1}
    return [(stack, place) for stack in stacks for place in range(counts[stack])]


def stacks_of(
    sequence: FeatureAttributionSequenceOutput, attribute_target: bool
) -> tuple[str, ...]:
    if sequence.architecture == "decoder_only":
        return ("target",)
    return ("source", "target") if attribute_target else ("source",)


def games(
    model: iw.AttributionModel,
    sequence: FeatureAttributionSequenceOutput,
    stacks: tuple[str, ...],
    groups: Sequence[Sequence[Place]] | None = None,
) -> Iterator[StepGame]:
    """Give the game of every step; every token is a group of its own unless groups are given."""
    groups = groups or [[place] for place in inputs_of(sequence, stacks)]
    steps = list(steps_of(model, sequence, stacks))
    last = steps[-1]
    playing = [
        number
        for number, group in enumerate(groups)
        if any(
            not torch.equal(last.inputs[stack][:, p], last.baselines[stack][:, p])
            for stack, p in group
        )
    ]
    for step in steps:
        yield StepGame(step, groups, playing)


def column_of(
    sequence: FeatureAttributionSequenceOutput, game: StepGame
) -> tuple[np.ndarray, np.ndarray]:
    """Take a step's scores, one for each of its players, and those of all other rows."""
    column = sequence.scores.to_numpy()[:, game.column]
    others = np.setdiff1d(np.arange(len(column)), game.players)
    return column[game.players], column[others]


def values_of(game: StepGame, rows: Tensor) -> np.ndarray:
    coalitions = [game.of_row(row) for row in rows]
    game.run(coalitions)
    return np.array([game.value(coalition) for coalition in coalitions])


def captums(
    game: StepGame,
    rows: Tensor,
    fitted: SkLearnLinearModel,
    weight: Callable[[Tensor], float],
    unit: float = 1.0,
) -> np.ndarray:
    """Let captum explain a step of a decoder, in given units, with given samples."""

    def samples(_: Tensor, **__: object) -> Iterator[Tensor]:
        yield from rows[:, None]

    def similarity(_: Tensor, __: Tensor, row: Tensor, **___: object) -> Tensor:
        return torch.tensor([weight(row)], dtype=torch.float64)

    def replaced(row: Tensor, embedded: Tensor, **_: object) -> Tensor:
        return torch.where(row[0, :, None] > 0, embedded, game.step.baselines["target"])

    def probability(embedded: Tensor) -> Tensor:
        with torch.no_grad():
            return game.step.model(embedded) * unit

    lime = LimeBase(probability, fitted, similarity, samples, True, replaced, None)
    explained: Tensor = lime.attribute(game.step.inputs["target"], n_samples=len(rows))
    return explained[0].numpy()

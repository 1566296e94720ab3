"""ContextCite: a sparse linear model of which sentences of the context a step needs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from inseq_widget.methods.base import Job, TextMethod, TextScores, register
from inseq_widget.methods.coalitions import Coalitions
from inseq_widget.methods.features import (
    Features,
    Spans,
    WithSpans,
    check_spans,
    features_of,
    within,
)
from inseq_widget.methods.keywords import check_number, check_whole
from inseq_widget.methods.linear_fits import draw, explained, lasso, nothing
from inseq_widget.methods.perturbed import WithRuns
from inseq_widget.models import Example
from inseq_widget.models.precision import at_least_single
from inseq_widget.scores import StepFunction, StepFunctionArgs
from inseq_widget.scores.step_functions import check_share, probability


@register
@dataclass(frozen=True, kw_only=True)
class ContextCite(WithRuns, WithSpans, TextMethod):
    """ContextCite (Cohen-Wang, Shah, Georgiev and Mądry, 2024, section 3).

    A sparse linear model (lasso, on standardised features) of which sentences of the source or
    prompt are there predicts the log-odds ``log(p / (1 - p))``; a sentence's score is its
    coefficient: by how much it raises them. Every generated token has a fit of its own, on the
    same runs; ``whole_response`` fits the probability of all explained tokens together, as the
    paper does. What the paper deletes is replaced by the baseline here, token by token, so that
    the others keep their positions. Generated and special tokens are never taken away, and have
    no score (NaN). How much of the variance the fit explains is the step score
    ``surrogate_r2``. An ``attributed_fn`` other than the probability is explained as it is, and
    summed over the tokens of a whole response.

    Parameters
    ----------
    baseline, include_eos_baseline
        See :class:`~inseq_widget.methods.baselines.WithBaseline`.
    perturbations_per_eval
        See :class:`~inseq_widget.methods.perturbed.WithRuns`.
    n_samples : int, default 64
        How many texts with sentences left out; each takes one run, for all steps.
    keep_prob : float, default 0.5
        How probable it is that a text keeps a sentence.
    alpha : float, default 0.01
        Weight of the penalty that makes the model sparse; for a whole response, per token.
    spans : {"sentences", "tokens", "words", "lines", "documents"} or list of (int, int)
        What is left out together, as for ``feature_ablation``. Each token shows the score of its
        sentence.
    whole_response : bool, default False
        Explain all explained tokens as one; each step then has the same scores.
    seed : int, default 0
        Fixes what is left out.
    """

    name: ClassVar[str] = "context_cite"
    score_label: ClassVar[str] = "effect of the sentence on the log-odds, by a sparse surrogate"
    signed: ClassVar[bool] = True
    reduction: ClassVar[str] = "sum"

    n_samples: int = 64
    keep_prob: float = 0.5
    alpha: float = 0.01
    spans: Spans = "sentences"
    whole_response: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse keywords that cannot be meant."""
        super().__post_init__()
        check_whole("n_samples", self.n_samples, 2)
        check_share("keep_prob", self.keep_prob, whole=False)
        check_number("alpha", self.alpha, positive=True)
        check_spans(self.spans)
        check_whole("seed", self.seed, 0)

    def attribute_text(self, job: Job, example: Example) -> TextScores:
        """See :meth:`TextMethod.attribute_text`."""
        on_log_odds = _is_probability(job.attributed_fn)
        if on_log_odds:
            job = dataclasses.replace(job, attributed_fn=log_odds)
        game = Coalitions(job, example, self._sentences(job, example), self)
        taking = draw(self.n_samples, game.n_players, self.keep_prob, self.seed)
        values = game.values(taking, 1.0).double()
        n_joined = values.shape[1] if self.whole_response else 1
        if self.whole_response:
            joint = _joint_log_odds(values) if on_log_odds else values.sum(1)
            values = joint[:, None].expand(values.shape)
        scores, fitted = nothing(game)
        for players, steps in game.by_visible():
            taken = taking[:, players].double()
            spread = taken.std(0, correction=0)
            spread[spread == 0] = 1.0
            weights = torch.ones(len(taken), dtype=torch.float64)
            found = lasso(taken / spread, values[:, steps], self.alpha * n_joined, weights)
            scores[players[:, None], steps] = found / spread[:, None]
            fitted[steps] = explained(taken / spread, values[:, steps], found, weights)
        return TextScores(game.spread(scores), step_scores={"surrogate_r2": fitted})

    def _sentences(self, job: Job, example: Example) -> Features:
        """Group the tokens that were given, special ones left out."""
        given = job.stacks[0]
        tokens = example.source if given == "source" else example.target[: example.n_given]
        places = frozenset((given, token.position) for token in tokens if not token.special)
        every = features_of(example, [given], self.spans)
        return Features(tuple(within(every, places)))


def log_odds(args: StepFunctionArgs) -> Tensor:
    """Log-odds of the target: of its probability against that of all other tokens.

    Parameters
    ----------
    args : StepFunctionArgs

    Returns
    -------
    torch.Tensor, (...)
    """
    logits, ids = at_least_single(args.logits), args.target_ids[..., None]
    # Not from the probability: near 1 it would say nothing of how near.
    others = logits.scatter(-1, ids, -torch.inf).logsumexp(-1)
    return logits.gather(-1, ids)[..., 0] - others


def _is_probability(function: StepFunction) -> bool:
    """Say whether a step function is the probability, whatever its keywords were given with."""
    innermost = inspect.unwrap(function)
    while isinstance(innermost, functools.partial):
        innermost = inspect.unwrap(innermost.func)
    if innermost is not probability:
        return False
    # Its logarithm is the same function with another keyword.
    sample = StepFunctionArgs(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))
    return bool(torch.equal(function(sample), probability(sample)))


def _joint_log_odds(values: Tensor) -> Tensor:
    """Make the log-odds of all steps together of each one's, (text, step) to (text,)."""
    joint = logsigmoid(values).sum(1).clamp(max=-torch.finfo(values.dtype).tiny)
    return joint - torch.log(-torch.expm1(joint))

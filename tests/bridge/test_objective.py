"""From log-ratios and preferences to one scalar: its gradient against the losses and the weighted scores themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from llm_bridge.policy import NotFinite, Tokens
from llm_bridge.training import Samples, all_pairs, cross_pairs, surrogate
from nashlab.algorithm import Exploring, Pairwise, Pointwise
from nashlab.losses import LOSSES, ipo, self_play_advantage

LOG_PROB = torch.tensor([-1.0, -2.0, -0.5, -3.0])
ANCHOR = torch.tensor([0.1, -0.2, 0.0, 0.3])


def samples(left: list[int], right: list[int], p: list[float], weight: list[float]) -> Samples:
    none = Tokens(torch.zeros(4, 0), torch.zeros(4, 0))
    return Samples(none, none, ANCHOR, torch.tensor(left), torch.tensor(right), torch.tensor(p), torch.tensor(weight))


def gradient(value: Tensor, at: Tensor) -> list[float]:
    (found,) = torch.autograd.grad(value, at)
    return [float(x) for x in found]


@pytest.mark.parametrize("name", LOSSES)
def test_a_pairwise_loss_is_the_weighted_sum_over_pairs(name: str) -> None:
    """Σ w l(h − h', p, τ), its value and its gradient by the loss's own slope."""
    loss, data = LOSSES[name], samples([0, 1, 2], [3, 2, 0], [0.7, 0.2, 0.5], [1.0, 0.5, 2.0])
    log_prob = LOG_PROB.clone().requires_grad_()
    value = surrogate(Pairwise(loss), log_prob, data, 0.4)
    h = LOG_PROB - ANCHOR
    gaps = h[data.left] - h[data.right]
    assert float(value.detach()) == pytest.approx(float((data.weight * loss.value(gaps, data.p, 0.4)).sum()), rel=1e-6)
    slopes, known = data.weight * loss.slope(gaps, data.p, 0.4), torch.zeros(4)
    known.index_add_(0, data.left, slopes)
    known.index_add_(0, data.right, -slopes)
    assert gradient(value, log_prob) == pytest.approx(known.tolist(), rel=1e-5, abs=1e-6)


def one_side(h: Tensor, other: Tensor, p: Tensor, tau: float) -> Tensor:
    """A weight that tells its arguments apart."""
    return h + 10 * other + 100 * p + 1000 * tau


def test_a_pointwise_objective_ascends_the_score_of_its_left_response_alone() -> None:
    """−Σ w c(h, h', p, τ) log π(y): the weights are data, so the gradient is −w c at the left rows."""
    data = samples([0, 1, 0], [3, 2, 2], [0.7, 0.2, 0.5], [1.0, 0.5, 2.0])
    for weight in (one_side, self_play_advantage):
        log_prob = LOG_PROB.clone().requires_grad_()
        value = surrogate(Pointwise(weight), log_prob, data, 0.4)
        h = LOG_PROB - ANCHOR
        c = weight(h[data.left], h[data.right], data.p, 0.4)
        assert float(value.detach()) == pytest.approx(-float((data.weight * c * LOG_PROB[data.left]).sum()), rel=1e-6)
        known = torch.zeros(4).index_add_(0, data.left, -data.weight * c)
        assert gradient(value, log_prob) == pytest.approx(known.tolist(), rel=1e-5)


class Both:
    """An objective with a weight of its own for each side."""

    symmetric = False

    def weights(self, h: Tensor, other: Tensor, p: Tensor, tau: float) -> tuple[Tensor, Tensor]:
        return one_side(h, other, p, tau), 3 * other - p


def test_an_objective_with_two_weights_ascends_both_scores() -> None:
    """−Σ w (c log π(y) + c' log π(y')), with no gradient through c and c'."""
    data = samples([0, 1, 0], [3, 2, 2], [0.7, 0.2, 0.5], [1.0, 0.5, 2.0])
    log_prob = LOG_PROB.clone().requires_grad_()
    h = LOG_PROB - ANCHOR
    left, right = Both().weights(h[data.left], h[data.right], data.p, 0.4)
    known = torch.zeros(4).index_add_(0, data.left, -data.weight * left).index_add_(0, data.right, -data.weight * right)
    value = surrogate(Both(), log_prob, data, 0.4)  # type: ignore[arg-type]
    assert gradient(value, log_prob) == pytest.approx(known.tolist(), rel=1e-5)


def test_numbers_take_the_precision_of_the_model() -> None:
    """Single-precision anchors and labels beside a model of float64 leave a float64 scalar."""
    data = samples([0], [1], [0.7], [1.0])
    for objective in (Pairwise(LOSSES["ipo"]), Pointwise(self_play_advantage)):
        assert surrogate(objective, LOG_PROB.double(), data, 0.4).dtype == torch.float64


def test_pairs_of_one_prompt_are_all_pairs_once_and_of_two_sides_every_one() -> None:
    """i < j within a prompt; left × right within a prompt, none across prompts."""
    groups = torch.tensor([0, 1, 0, 0, 1])
    assert list(zip(*(t.tolist() for t in all_pairs(groups)), strict=True)) == [(0, 2), (0, 3), (1, 4), (2, 3)]
    pairs = cross_pairs(torch.tensor([0, 1]), torch.tensor([1, 0, 1]))
    assert list(zip(*(t.tolist() for t in pairs), strict=True)) == [(0, 1), (1, 0), (1, 2)]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_log_ratio_that_is_no_number_is_named(wrong: float) -> None:
    """Of three completions the second one; without it there is a loss."""
    none = Tokens(torch.zeros(3, 0), torch.zeros(3, 0))
    rows = torch.tensor([0, 1]), torch.tensor([1, 2])
    data = Samples(none, none, torch.zeros(3), *rows, torch.full((2,), 0.7), torch.ones(2))
    log_prob = torch.tensor([-1.0, -2.0, -3.0])
    assert bool(torch.isfinite(surrogate(Pairwise(ipo), log_prob, data, 1.0)))
    log_prob[1] = wrong
    with pytest.raises(NotFinite, match=rf"^log-ratio of completion 1 is {wrong}, must be finite$"):
        surrogate(Pairwise(ipo), log_prob, data, 1.0)


def test_an_exploring_objective_descends_on_its_loss_and_its_bonus() -> None:
    """Its gradient is that of sum(w (l(h - h') + alpha h')), by automatic differentiation of the loss itself."""
    none = Tokens(torch.zeros(4, 0), torch.zeros(4, 0))
    left, right = torch.tensor([0, 1, 2]), torch.tensor([3, 2, 0])
    p, weight = torch.tensor([0.7, 0.2, 0.5]), torch.tensor([1.0, 0.5, 2.0])
    anchor = torch.tensor([0.1, -0.2, 0.0, 0.3])
    log_prob = torch.tensor([-1.0, -2.0, -0.5, -3.0], requires_grad=True)
    data = Samples(none, none, anchor, left, right, p, weight)
    (found,) = torch.autograd.grad(surrogate(Exploring(ipo, 0.3), log_prob, data, 0.4), log_prob)
    h = log_prob - anchor
    expected = (weight * (ipo.value(h[left] - h[right], p, 0.4) + 0.3 * h[right])).sum()
    assert torch.allclose(found, torch.autograd.grad(expected, log_prob)[0], rtol=1e-6, atol=1e-7)
    without = torch.autograd.grad((weight * ipo.value(h[left] - h[right], p, 0.4)).sum(), log_prob)[0]
    assert not torch.allclose(found, without, atol=0.1)  # canary

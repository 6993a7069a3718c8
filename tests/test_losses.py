"""Losses: one array-API source, equal on numpy, jax and torch; slopes by autodiff; finite at |h| = 800."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nashlab.losses import LOSSES, PairwiseLoss, gpo, ipo, self_play_advantage

EACH = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
TAUS = (0.01, 0.3, 1.0, 5.0)
GAPS = np.concatenate([np.linspace(-6.01, 6.02, 41), [-800.0, 800.0, -1e-9, 0.0]])
PREFERENCES = np.linspace(0, 1, GAPS.size)


@EACH
@pytest.mark.parametrize("tau", TAUS)
def test_numpy_jax_and_torch_agree_in_values_and_gradients(loss: PairwiseLoss, tau: float) -> None:
    import jax
    torch = pytest.importorskip("torch")

    value, slope = loss.value(GAPS, PREFERENCES, tau), loss.slope(GAPS, PREFERENCES, tau)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(slope))
    scale = 1 + np.abs(value)
    with jax.enable_x64(True):
        gaps, p = jax.numpy.asarray(GAPS), jax.numpy.asarray(PREFERENCES)
        there, back = jax.jit(jax.vmap(jax.value_and_grad(lambda d, q: loss.value(d, q, tau))))(gaps, p)
    off_kink = np.abs(np.abs(tau * GAPS) - 1) > 1e-9
    assert np.max(np.abs(np.asarray(there) - value) / scale) <= 1e-12
    assert np.max((np.abs(np.asarray(back) - slope) / scale)[off_kink]) <= 1e-12
    d = torch.tensor(GAPS, requires_grad=True)
    theirs = loss.value(d, torch.tensor(PREFERENCES), tau)
    theirs.sum().backward()
    assert np.max(np.abs(theirs.detach().numpy() - value) / scale) <= 1e-12
    assert d.grad is not None
    assert np.max((np.abs(d.grad.numpy() - slope) / scale)[off_kink]) <= 1e-12
    # the slope itself runs on every library too
    assert np.max(np.abs(loss.slope(d.detach(), torch.tensor(PREFERENCES), tau).numpy() - slope) / scale) <= 1e-12
    # canary: a slope for another temperature is told apart
    assert np.max(np.abs(loss.slope(GAPS, PREFERENCES, 1.1 * tau) - slope) / scale) > 1e-12


@EACH
def test_nothing_beyond_the_array_api_standard_is_used(loss: PairwiseLoss) -> None:
    d, p = array_api_strict.asarray(GAPS), array_api_strict.asarray(PREFERENCES)
    assert np.array_equal(np.asarray(loss.value(d, p, 0.3)), loss.value(GAPS, PREFERENCES, 0.3))
    assert np.array_equal(np.asarray(loss.slope(d, p, 0.3)), loss.slope(GAPS, PREFERENCES, 0.3))


@EACH
def test_single_precision_stays_single(loss: PairwiseLoss) -> None:
    torch = pytest.importorskip("torch")

    d, p = (torch.tensor(x, dtype=torch.float32) for x in (GAPS, PREFERENCES))
    for function in (loss.value, loss.slope):
        out, exact = function(d, p, 0.3), torch.tensor(function(GAPS, PREFERENCES, 0.3))
        assert out.dtype == torch.float32
        # a few roundings of 6e-8, of terms of up to (1 + |d|)² before p weighs them
        assert bool((abs(out - exact) <= 1e-6 * (1 + abs(exact))).all())


@given(st.floats(-50, 50), st.floats(0, 1), st.sampled_from(TAUS), st.sampled_from(list(LOSSES)))
def test_losses_are_linear_in_p_and_see_the_pair_symmetrically(d: float, p: float, tau: float, name: str) -> None:
    loss = LOSSES[name]
    whole, first, second = (float(loss.value(np.array(d), q, tau)) for q in (p, 1.0, 0.0))
    assert whole == pytest.approx(p * first + (1 - p) * second, rel=1e-12, abs=1e-12)
    assert float(loss.value(np.array(-d), 1 - p, tau)) == pytest.approx(whole, rel=1e-12, abs=1e-12)


@given(st.floats(-40, 40), st.floats(0, 1), st.sampled_from(TAUS))
def test_the_table_forms_of_the_theory(d: float, p: float, tau: float) -> None:
    table = {
        "ipo": p * (d - 0.5 / tau) ** 2 + (1 - p) * (-d - 0.5 / tau) ** 2,
        "dpo": p * np.logaddexp(0, -tau * d) + (1 - p) * np.logaddexp(0, tau * d),
        "slic": p * max(0.0, 1 - tau * d) + (1 - p) * max(0.0, 1 + tau * d),
    }
    for name, known in table.items():
        assert float(LOSSES[name].value(np.array(d), p, tau)) == pytest.approx(known, rel=1e-11, abs=1e-11)


def test_units_make_every_loss_pull_alike_at_zero() -> None:
    for loss in LOSSES.values():
        for tau in TAUS:
            assert loss.unit(tau) * float(loss.slope(np.zeros(()), 1.0, tau)) == pytest.approx(-0.25, rel=1e-14)
    own = gpo("own", lambda x: (x - 1) ** 2, lambda x: 2 * (x - 1), scale=lambda tau: 5 / tau)
    assert own.unit(0.3) * float(own.slope(np.zeros(()), 1.0, 0.3)) == pytest.approx(-0.25, rel=1e-14)
    assert ipo.unit(0.3) == pytest.approx(0.3 / 4, rel=1e-14)


def test_without_a_scale_the_convex_function_is_the_loss() -> None:
    """s(τ) = 1 for a loss that states none, built by hand or by gpo."""
    for build in (PairwiseLoss, gpo):
        plain = build("plain", convex=lambda x: (x - 1) ** 2, convex_slope=lambda x: 2 * (x - 1), citation="")
        assert float(plain.value(np.array(0.5), 1.0, 0.4)) == pytest.approx(0.8**2, rel=1e-14)


def test_a_new_convex_function_is_one_line() -> None:
    square = gpo("square", lambda x: (x - 1) ** 2, lambda x: 2 * (x - 1))
    d = np.linspace(-2, 2, 9)
    step = 1e-6
    numeric = (square.value(d + step, 0.7, 0.5) - square.value(d - step, 0.7, 0.5)) / (2 * step)
    assert np.max(np.abs(numeric - square.slope(d, 0.7, 0.5))) <= 1e-9


def test_self_play_ignores_the_other_log_ratio() -> None:
    for other in (-3.0, 0.0, 99.0):
        found = float(self_play_advantage(np.array(1.0), np.array(other), np.array(0.7), 0.1))
        assert found == pytest.approx(0.7 - 0.5 - 0.1 * 1.0, abs=1e-15)

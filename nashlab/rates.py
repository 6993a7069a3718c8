"""R3: the local rate of any algorithm, predicted at its own fixed point and measured on the run.

Predicted: the spectral radius of the Jacobian of one step at its fixed point, on log π modulo constants together with
the rest of the algorithm's state.  Measured: the linear recurrence that the last iterates of a run satisfy.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nashlab.algorithm import AlgorithmSpec, Problem, Setting
from nashlab.algorithms import get
from nashlab.arrays import l1
from nashlab.compiling import quickly
from nashlab.environment import ExactEnvironment, Feedback
from nashlab.game import BadInput, PreferenceGame, check_temperature
from nashlab.solution import Solution
from nashlab.solve import DEFAULT_BETA, simulate, solve

__all__ = [
    "LocalRate",
    "RateAnswer",
    "Run",
    "RunAnswer",
    "game_frequency",
    "local_rate",
    "rate_answer",
    "rated_run",
    "run_answer",
    "trajectory_rate",
]

FLOOR = 1e-10  # of a displacement: below, fewer than six of its digits are right
NOISE = 1e-6  # its relative error there
LINEAR = 1e-3  # of a displacement: above, growth is no longer in the linear regime
FIXED = 1e-9  # movement of one step in log π that counts as a fixed point ...
ROUNDING = 1e-15  # ... and the goal of the search: a movement of 1e-9 at rate .999 is a distance of 1e-6
NEWTON_STEPS = 60


@dataclass(frozen=True)
class LocalRate:
    """One algorithm near its fixed point.

    predicted     spectral radius ρ: ‖π_t − fixed point‖ shrinks by ρ per step; above 1 the point is unstable.
    eigenvalues   of the Jacobian, by decreasing modulus.
    fixed_point   log-policy, [n];  answer  the log-policy that the method gives there, which may be another, [n].
    measured      the rate of a run started near the fixed point; None if it shows no clean decay or growth.
    """

    predicted: float
    eigenvalues: NDArray[np.complex128]
    fixed_point: NDArray[np.float64]
    answer: NDArray[np.float64]
    measured: float | None


class Run(NamedTuple):
    """A run with its local rate: predicted at the algorithm's fixed point, measured on this run; None: unknown."""

    spec: AlgorithmSpec
    solution: Solution
    predicted: float | None
    measured: float | None


@dataclass(frozen=True)
class RunAnswer:
    """A run as ``nashlab run --json`` prints it, one of a list.

    steps            the step numbers of exploitability, distance and target_distance; the first is 0.
    target           the method's own fixed point; target_to_equilibrium  its ‖·‖₁ distance from π*_τ.
    unbiased         the variant of the method that converges to π*_τ itself, if this one does not.
    largest_step     the largest step size of the method's theorem.
    """

    algorithm: str
    policy: Any
    steps: Any
    exploitability: Any
    distance: Any
    target_distance: Any
    status: str
    predicted_rate: float | None
    measured_rate: float | None
    target: Any
    target_to_equilibrium: Any
    unbiased: str | None
    largest_step: float | None
    certificate: Mapping[str, Any]


def run_answer(run: Run) -> RunAnswer:
    """The printed fields of a run."""
    solution, history, course = run.solution, run.solution.history, run.solution.course
    assert course is not None
    goal = course.target
    return RunAnswer(
        algorithm=run.spec.name,
        policy=solution.policy,
        steps=history["steps"],
        exploitability=history["exploitability"],
        distance=history["distance"],
        target_distance=history.get("target_distance"),
        status=solution.status.token,
        predicted_rate=run.predicted,
        measured_rate=run.measured,
        target=None if goal is None else np.exp(goal),
        target_to_equilibrium=None if goal is None else l1(goal, course.nash),
        unbiased=run.spec.unbiased,
        largest_step=course.largest_step,
        certificate={"l1_bound": solution.certificate.l1_bound, "kind": solution.certificate.kind},
    )


@dataclass(frozen=True)
class RateAnswer:
    """A local rate as ``nashlab rates --json`` prints it; None if the method has no local linear rate."""

    algorithm: str
    claim: str
    predicted_rate: float | None
    measured_rate: float | None
    stable: bool | None
    eigenvalues: list[list[float]] | None
    frequency: float | None
    labels: tuple[str, ...]
    fixed_point: Any


def rate_answer(spec: AlgorithmSpec, game: PreferenceGame, rate: LocalRate | None) -> RateAnswer:
    """The printed fields of a rate."""
    if rate is None:
        return RateAnswer(spec.name, spec.claim, None, None, None, None, None, game.labels, None)
    return RateAnswer(
        algorithm=spec.name,
        claim=spec.claim,
        predicted_rate=rate.predicted,
        measured_rate=rate.measured,
        stable=rate.predicted < 1,
        eigenvalues=[[float(z.real), float(z.imag)] for z in rate.eigenvalues],
        frequency=float(game_frequency(game, rate.fixed_point)[0]),
        labels=game.labels,
        fixed_point=np.exp(rate.fixed_point),
    )


def game_frequency(game: PreferenceGame, log_policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """|λ| of the imaginary spectrum of AD at a policy, in decreasing order, [n]; D = diag π − ππᵀ (E4, N3).

    >>> game = PreferenceGame.from_margins([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    >>> round(float(game_frequency(game, game.log_reference)[0]), 6)
    0.57735
    """
    pi = np.exp(log_policy)
    root = np.sqrt(pi)
    # D = (I − π1ᵀ) diag π (I − 1πᵀ), so AD shares its spectrum with a skew matrix: moduli are its singular values
    skew = root[:, None] * _centred_margins(game.margins, pi) * root[None, :]
    return np.asarray(np.linalg.svd(skew, compute_uv=False), dtype=np.float64)


def _centred_margins(margins: NDArray[np.float64], pi: NDArray[np.float64]) -> NDArray[np.float64]:
    """(I − 1πᵀ) A (I − π1ᵀ), still skew."""
    row = margins - (pi @ margins)[None, :]
    return row - (row @ pi)[:, None]


class _StepMap:
    """One step as a map of a flat vector, with its derivative; log-policies are normalised first, so constants are not
    a direction."""

    def __init__(self, spec: AlgorithmSpec, game: PreferenceGame, setting: Setting, log_behaviour: NDArray[np.float64]):
        self._spec, self._start = spec, spec.start(game.log_reference)
        self._numbers = spec.judged(game, log_behaviour), Setting(*(np.asarray(x, dtype=np.float64) for x in setting))

    def __call__(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(step(x), its Jacobian)."""
        import jax

        with jax.enable_x64(True):
            jacobian, value = _linearised(self._spec)(x, self._start, *self._numbers)
            return np.asarray(value), np.asarray(jacobian)

    def start(self, log_policy: NDArray[np.float64]) -> NDArray[np.float64]:
        """The flat vector of the algorithm's first state."""
        state = self._spec.start(log_policy)
        return np.concatenate([np.ravel(state[name]) for name in sorted(state)])

    def log_policy(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The policy in a flat vector."""
        before = sum(np.size(self._start[name]) for name in self._start if name < "log_policy")
        return x[before : before + np.size(self._start["log_policy"])]


@functools.cache
def _linearised(spec: AlgorithmSpec) -> Any:
    """One compiled program for all games of one size: (x, a state, margins, setting) -> (Jacobian, step(x))."""
    import jax
    from jax.flatten_util import ravel_pytree

    from nashlab.arrays import log_softmax

    def linearised(x: Any, shape: Any, margins: Any, setting: Setting) -> tuple[Any, Any]:
        unravel = ravel_pytree(shape)[1]

        def step(x: Any) -> tuple[Any, Any]:
            state = {k: log_softmax(v) if k.startswith("log_") else v for k, v in unravel(x).items()}
            after = ravel_pytree(spec.step(state, setting, ExactEnvironment(margins)))[0]
            return after, after

        jacobian, value = jax.jacfwd(step, has_aux=True)(x)
        return jacobian, value

    return quickly(linearised)


def _fixed_point(step: _StepMap, guess: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Newton on step(x) = x from the guess until rounding, halving steps that do not help; None if it fails."""
    x = step(step.start(guess))[0]
    after, jacobian = step(x)
    defect = after - x
    for _ in range(NEWTON_STEPS):
        if np.max(np.abs(defect)) <= ROUNDING:
            return x
        direction = np.linalg.solve(np.eye(x.size) - jacobian, defect)
        size = 1.0
        while size > 1e-6:
            trial = x + size * direction
            after, jacobian = step(trial)
            new = after - trial
            # NaN compares false, so an overflowing trial is halved too
            if np.max(np.abs(new)) < (1 - 0.1 * size) * np.max(np.abs(defect)):
                break
            size *= 0.5
        else:
            break
        x, defect = trial, new
    return x if np.max(np.abs(defect)) <= FIXED else None


def local_rate(
    algorithm: AlgorithmSpec | str,
    game: PreferenceGame,
    temperature: float,
    *,
    step_size: float,
    beta: float = DEFAULT_BETA,
    behaviour: NDArray[np.float64] | None = None,
    measure: bool = True,
) -> LocalRate | None:
    """Predict ρ at the algorithm's own fixed point, and measure it on a run started near that point.

    None for methods whose limit is not a smooth fixed point (average iterates, kinks) or whose fixed point was not
    found.  One game (contextual games: one prompt at a time).  Source: R3.

    >>> game = PreferenceGame.from_margins([[0, .5, -.5], [-.5, 0, .5], [.5, -.5, 0]])
    >>> rate = local_rate("omd", game, 0.1, step_size=0.5)
    >>> round(rate.predicted, 6) == round(abs(1 - 0.05 + 0.5j * np.sqrt(3) / 6), 6)
    True
    """
    from nashlab.algorithms._targets import nash

    spec = get(algorithm)
    tau = check_temperature(temperature)
    spec.check(tau, step_size, beta)
    if game.batch:
        raise BadInput("game is contextual: rates belong to one prompt; use game.prompt(x)")
    if spec.limit != "linear":
        return None
    log_behaviour = game.log_reference if behaviour is None else game.with_reference(behaviour).log_reference
    setting = Setting(game.log_reference, log_behaviour, tau, step_size, beta, 0.0)
    step = _StepMap(spec, game, setting, log_behaviour)
    problem = Problem(game, tau, step_size, beta, log_behaviour)
    guess = None if spec.target is None else spec.target(problem)
    if guess is None:
        guess = nash(game, tau)
    if not np.all(np.isfinite(guess)):
        return None
    x = _fixed_point(step, guess)
    if x is None:
        return None
    eigenvalues = np.asarray(np.linalg.eigvals(step(x)[1]), dtype=np.complex128)
    eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues))]
    rho = float(np.abs(eigenvalues[0]))
    fixed = step.log_policy(x)
    with np.errstate(all="ignore"):
        answer = np.asarray(spec.answer({"log_policy": fixed}, setting))
    measured = _measure(spec, game, setting, fixed, answer, rho) if measure else None
    return LocalRate(rho, eigenvalues, fixed, answer, measured)


def _measure(
    spec: AlgorithmSpec,
    game: PreferenceGame,
    setting: Setting,
    fixed: NDArray[np.float64],
    answer: NDArray[np.float64],
    rho: float,
) -> float | None:
    """Run from 1e-3 off the fixed point until the distance is lost in rounding (or from 1e-9 until it is large)."""
    small = 1e-3 if rho < 1 else 1e-9
    steps = int(np.clip(np.log(1e7) / max(abs(np.log(max(rho, 1e-300))), 1e-12), 40, 40_000))
    kick = small * np.random.default_rng(0).normal(size=fixed.shape)
    one = Setting(*(np.asarray(x)[None] for x in setting))
    judged = spec.judged(game, np.asarray(setting.log_behaviour))
    start = (fixed + kick)[None]
    start = start - np.log(np.sum(np.exp(start)))
    seen = simulate(spec, judged[None], one, start, steps, truth=game.margins[None], keep_path=True)
    return trajectory_rate(np.exp(seen.path[0]) - np.exp(answer))


def trajectory_rate(away: NDArray[np.float64], every: int = 1) -> float | None:
    """The rate ρ per step at which displacements from a fixed point, [T, n] taken ``every`` steps, decay (or grow).

    It is the largest root of the recurrence x_{t+2} = c₁ x_{t+1} + c₀ x_t that best fits the later half.  A dominant
    mode is one real number or a conjugate pair, so order 2 captures it at any phase, whereas the slope of log ‖x_t‖ is
    biased by an oscillation seen for only a few periods.  None if fewer than ten displacements are usable.

    >>> t = np.arange(60)
    >>> spiral = 0.9**t * np.array([np.cos(0.1 * t), np.sin(0.1 * t)])
    >>> round(trajectory_rate(spiral.T), 9)
    0.9
    """
    size = np.max(np.abs(away), axis=1)
    if not size[0] > FLOOR:
        return None  # it starts at the fixed point
    growing = size[-1] > size[0]
    if size[0] > LINEAR and size[-1] > 0.5 * size[0]:
        return None  # it never came near: an orbit has no rate
    outside = size > LINEAR if growing else ~(size > FLOOR)
    end = int(np.argmax(outside)) or len(size)
    tail = away[end // 2 : end]
    if len(tail) < 10:
        return None
    scale = np.max(np.abs(tail[:-2]), axis=1)[:, None]
    columns = np.stack([(tail[1:-1] / scale).ravel(), (tail[:-2] / scale).ravel()], axis=1)
    c1, c0 = np.linalg.lstsq(columns, (tail[2:] / scale).ravel(), rcond=NOISE)[0]
    return float(np.max(np.abs(np.roots([1.0, -c1, -c0]))) ** (1.0 / every))


def rated_run(
    algorithm: AlgorithmSpec | str,
    game: PreferenceGame,
    temperature: float,
    *,
    step_size: float,
    steps: int,
    beta: float = DEFAULT_BETA,
    behaviour: NDArray[np.float64] | None = None,
    start: NDArray[np.float64] | None = None,
    feedback: Feedback | None = None,
    seed: int = 0,
    schedule: str = "constant",
) -> Run:
    """Run an algorithm (:func:`nashlab.solve.solve`) and compare its rate with the predicted one; exact runs only.

    >>> game = PreferenceGame.from_margins([[0, .5, -.5], [-.5, 0, .5], [.5, -.5, 0]], reference=[.5, .3, .2])
    >>> run = rated_run("omd", game, 0.1, step_size=0.5, steps=500)
    >>> abs(run.predicted - run.measured) < 1e-6
    True
    """
    spec = get(algorithm)
    numbers: dict[str, Any] = {"step_size": step_size, "beta": beta, "behaviour": behaviour}
    single = not game.batch and feedback is None and schedule == "constant"
    sampled: dict[str, Any] = {"feedback": feedback, "seed": seed, "schedule": schedule}
    solution = solve(spec, game, temperature, steps=steps, start=start, keep_path=single, **sampled, **numbers)
    rate = local_rate(spec, game, temperature, measure=False, **numbers) if single else None
    if rate is None:
        return Run(spec, solution, None, None)
    path, moments = np.exp(solution.history["log_policy"]), solution.history["steps"]
    every = int(moments[1])
    end = len(path) if moments[-1] % every == 0 else -1  # the last interval may be shorter
    return Run(spec, solution, rate.predicted, trajectory_rate(path[:end] - np.exp(rate.answer), every))

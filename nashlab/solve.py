"""The single loop for any algorithm on any game, over batches of games × step sizes × temperatures.

    state ← spec.step(state, setting, environment)        lax.scan over records, runs in parallel

Every run returns a :class:`nashlab.solution.Solution` whose history is computed outside the algorithm: exploitability
(E2), distance to π*_τ, and distance to the algorithm's own fixed point if theory gives it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nashlab.algorithm import AlgorithmSpec, Environment, Problem, Setting
from nashlab.algorithms import get
from nashlab.algorithms._targets import nash
from nashlab.certificate import certify, gap
from nashlab.compiling import quickly
from nashlab.environment import BanditEnvironment, ExactEnvironment, Feedback
from nashlab.game import BadInput, PreferenceGame, check_temperature
from nashlab.lanes import UNROLLED, lanes
from nashlab.optimiser import SCHEDULES
from nashlab.solution import Course, Solution, Status

__all__ = ["DEFAULT_BETA", "RECORDS", "Histories", "simulate", "solve"]

DEFAULT_BETA = 0.125  # the paper's choice for IPO-MD and Nash-MD-PG
RECORDS = 1000  # longer histories are thinned, so that memory does not grow with the number of steps
BLOCK = 128  # runs per block: bounds the memory of a sweep and fits a core's cache
BRIEF = 10**7  # runs · n² · steps: less runs for a quarter of a second at most, however it is compiled
CONVERGED = 1e-8  # for ‖π − target‖₁, or the movement of one step: half of float64's digits


class Histories(NamedTuple):
    """The records of B runs at R moments from :func:`simulate`.

    exploitability, distance, target_distance  [B, R];  movement  ‖π_{t+1} − π_t‖₁ of the last step, [B];
    log_policy  the final answer, [B, n];  path  log-policies at the moments, [B, R, n], or None;
    alive  False for a run that left float64, [B].
    """

    exploitability: Any
    distance: Any
    target_distance: Any
    movement: Any
    log_policy: Any
    path: Any
    alive: Any


class _Stream(NamedTuple):
    """The random stream of a run: its seed, its index, and its share [low, high) of the prompts.

    The prompts of a contextual game share a seed, hence the draw of the prompt; each draws its own responses.
    """

    seed: Any
    place: Any
    low: Any
    high: Any

    def draw(self, time: Any) -> tuple[Any, Any]:
        """(a key for this step, the weight of this step: 1/ρ(x) if the prompt drawn is x, else 0)."""
        import jax
        import jax.numpy as jnp

        root = jax.random.fold_in(jax.random.PRNGKey(self.seed), time)
        u, share = jax.random.uniform(root, dtype=self.low.dtype), self.high - self.low
        turn = jnp.where((self.low <= u) & (u < self.high), 1.0 / jnp.where(share > 0, share, 1.0), 0.0)
        return jax.random.fold_in(root, self.place), turn


class _Plan(NamedTuple):
    """The length of a run, its records, its feedback and its schedule: see :func:`simulate`."""

    steps: int
    every: int
    keep_path: bool
    feedback: Feedback | None
    schedule: str


class _Shape(NamedTuple):
    """What a compiled simulator depends on beside the sizes of its arrays.

    brief  True: it runs for less time than it compiles;  single  True: one step between records;
    last  True: runs along the last axis of arrays, else the first;  feedback  None: exact;  schedule  of the steps.
    """

    brief: bool
    single: bool
    unregularised: bool
    keep_path: bool
    last: bool
    feedback: Feedback | None
    schedule: str


@functools.cache
def _compiled(spec: AlgorithmSpec, shape: _Shape) -> Any:
    """The jitted simulator for a block of runs."""
    import jax
    import jax.numpy as jnp

    feedback = shape.feedback
    spread: Callable[[Callable[..., Any]], Callable[..., Any]] = lanes if shape.last else jax.vmap
    scale = SCHEDULES[shape.schedule]

    def at(setting: Setting, time: Any) -> Setting:
        return setting._replace(time=time, step_size=setting.step_size * scale(time))

    @spread
    def begin(start: Any) -> Any:
        return spec.start(start)

    @spread
    def advance(margins: Any, setting: Setting, state: Any, time: Any, stream: Any) -> Any:
        environment: Environment = ExactEnvironment(margins)
        if feedback is not None:
            key, turn = stream.draw(time.astype(int))
            environment = BanditEnvironment(margins, key, feedback, turn)
        return spec.step(state, at(setting, time), environment)

    @spread
    def answer(setting: Setting, state: Any, time: Any) -> Any:
        return spec.answer(state, at(setting, time))

    @spread
    def judge(truth: Any, setting: Setting, log_policy: Any, nash_policy: Any, target: Any) -> tuple[Any, ...]:
        policy = jnp.exp(log_policy)
        advantage = ExactEnvironment(truth).advantage(log_policy)
        if shape.unregularised:
            inside = jnp.isfinite(setting.log_reference)
            value = jnp.maximum(jnp.max(jnp.where(inside, advantage, -jnp.inf)), 0.0)
        else:
            value = gap(advantage, setting.log_reference, log_policy, setting.temperature)
        alive = ~jnp.isnan(jnp.sum(policy))
        seen = (value, jnp.sum(jnp.abs(policy - nash_policy)), jnp.sum(jnp.abs(policy - target)), alive)
        return (*seen, log_policy) if shape.keep_path else seen

    def many(
        data: tuple[Any, Setting, Any, Any, Any, Any, Any], moments: Any, lengths: Any
    ) -> tuple[tuple[Any, ...], Any, Any]:
        margins, setting, start, truth, nash_policy, target, stream = data

        def record(states: tuple[Any, Any], until: tuple[Any, Any]) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
            state, (moment, length) = states[0], until
            now = setting.time + moment
            seen = judge(truth, setting, answer(setting, state, now), nash_policy, target)

            def step(t: Any, state: Any) -> Any:
                return advance(margins, setting, state, now + t, stream)

            after = step(0, state) if shape.single else jax.lax.fori_loop(0, length, step, state)
            return (after, state), tuple(seen)

        first = begin(start)
        (after, state), seen = jax.lax.scan(record, (first, first), (moments, lengths))
        now = setting.time + moments[-1]
        # the criterion for runs without a known target; of two answers at one time, since a schedule may weigh by time
        moved = jnp.exp(answer(setting, after, now)) - jnp.exp(final := answer(setting, state, now))
        return seen, final, jnp.sum(jnp.abs(moved), axis=0 if shape.last else -1)

    return quickly(many) if shape.brief else jax.jit(many)


def simulate(
    spec: AlgorithmSpec,
    margins: NDArray[np.float64],
    setting: Setting,
    start: NDArray[np.float64],
    steps: int,
    *,
    truth: NDArray[np.float64] | None = None,
    nash_policy: NDArray[np.float64] | None = None,
    target: NDArray[np.float64] | None = None,
    every: int = 1,
    keep_path: bool = False,
    feedback: Feedback | None = None,
    seed: int = 0,
    prompts: NDArray[np.float64] | None = None,
    schedule: str = "constant",
) -> Histories:
    """B runs of one algorithm in parallel, float64, jitted: the engine of :func:`solve` and of sweeps.

    margins  [B, n, n] as the method's judge sees them; truth  those of the game (default: the same).
    setting  every field [B] or [B, n];  start  log π₀, [B, n];  every  steps between records.
    nash_policy, target  [B, n]; distances to missing ones are NaN.
    feedback  None for exact expectations; otherwise run b of a seed has its own random stream.
    prompts   ρ, [B], if the runs are the prompts of one contextual game: each step draws one of them.
    schedule  of the step size, a name of :data:`nashlab.optimiser.SCHEDULES`.
    Records the moments 0, every, 2·every, ..., and always the last step.  τ is 0 in all runs or in none.
    """
    runs, n = start.shape
    unknown = np.full((runs, n), np.nan)
    high = np.ones(runs) if prompts is None else np.cumsum(prompts)
    low = np.zeros(runs) if prompts is None else high - prompts
    data = (
        margins,
        setting,
        start,
        margins if truth is None else truth,
        unknown if nash_policy is None else nash_policy,
        unknown if target is None else target,
        _Stream(np.full(runs, seed), np.arange(runs), low, high),
    )
    block = BLOCK * _devices()
    plan = _Plan(steps, every, keep_path, feedback, schedule)
    parts = [_simulate_block(spec, _rows(data, low, min(low + block, runs)), plan) for low in range(0, runs, block)]
    joined = [None if k[0] is None else np.concatenate(k) for k in zip(*parts, strict=True)]
    return Histories._make(joined)


def _devices() -> int:
    import jax

    return len(jax.devices())


def _placed(x: NDArray[Any], axis: int) -> Any:
    """An array on the device; with several devices, its runs in equal shares on each."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    if _devices() == 1 or x.shape[axis] % _devices():
        return jax.numpy.asarray(x)
    names: list[str | None] = [None] * x.ndim
    names[axis] = "runs"
    return jax.device_put(x, NamedSharding(jax.make_mesh((_devices(),), ("runs",)), PartitionSpec(*names)))


def _rows(data: Any, low: int, high: int) -> Any:
    """Runs low to high of every array."""
    if isinstance(data, tuple):
        parts = (_rows(x, low, high) for x in data)
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    data = np.asarray(data)
    return (data if data.dtype.kind == "i" else data.astype(np.float64, copy=False))[low:high]


def _simulate_block(spec: AlgorithmSpec, data: Any, plan: _Plan) -> Histories:
    """One block of runs; a run that leaves float64 ends at its last finite record."""
    seen, log_policy, movement = _run_block(spec, data, plan)
    alive = seen[3].all(axis=1)
    for run in map(int, np.flatnonzero(~alive)):
        # NaN must not be returned: run again up to the last record before it
        end = int(np.argmin(seen[3][run])) - 1
        done, one = min(end * plan.every, plan.steps), _rows(data, run, run + 1)
        again, answer, _ = _run_block(spec, one, plan._replace(steps=done))
        log_policy[run], movement[run] = answer[0], 0.0
        for series, cut in zip(seen, again, strict=True):
            series[run] = np.concatenate([cut[0], np.broadcast_to(cut[0][-1:], series[run][len(cut[0]) :].shape)])
    path = seen[4] if plan.keep_path else None
    return Histories(seen[0], seen[1], seen[2], movement, log_policy, path, alive)


def _run_block(spec: AlgorithmSpec, data: Any, plan: _Plan) -> tuple[list[NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """(the records [B, R, ...], the final answer [B, n], its movement in one further step [B])."""
    import jax

    runs, n = data[2].shape
    # small games fill vector units better with the runs last; a single run needs no layout
    last = n <= UNROLLED and runs > 1 and plan.feedback is None
    axis = -1 if last else 0
    moments = np.append(np.arange(0, plan.steps, plan.every), plan.steps)
    lengths = np.append(np.diff(moments), 1)  # after the last record one step more, for the movement
    with jax.enable_x64(True):
        arrays = jax.tree.map(lambda x: _placed(np.moveaxis(x, 0, axis), axis), data)
        unregularised = bool(np.all(np.asarray(data[1].temperature) == 0))
        brief, single = runs * n * n * plan.steps <= BRIEF, plan.every == 1 or plan.steps == 1
        shape = _Shape(brief, single, unregularised, plan.keep_path, last, plan.feedback, plan.schedule)
        seen, answer, movement = _compiled(spec, shape)(arrays, moments, lengths)
    # time first, then the block's own layout: [R, ..., B] or [R, B, ...] -> [B, R, ...]
    records = [np.array(np.moveaxis(np.asarray(x), -1 if last else 1, 0)) for x in seen]
    return records, np.array(np.moveaxis(np.asarray(answer), axis, 0)), np.nan_to_num(movement, nan=np.inf)


def solve(
    algorithm: AlgorithmSpec | str,
    game: PreferenceGame,
    temperature: float,
    *,
    step_size: float,
    steps: int,
    beta: float = DEFAULT_BETA,
    behaviour: ArrayLike | None = None,
    start: NDArray[np.float64] | None = None,
    every: int | None = None,
    keep_path: bool = False,
    feedback: Feedback | None = None,
    seed: int = 0,
    schedule: str = "constant",
    throw: bool = False,
) -> Solution:
    """Run one algorithm with exact or sampled feedback, on all games of a batch at once.

    step_size  η of theory §4: for gradient methods it multiplies g = D(Aπ − τh), so online IPO has learning rate ητ/4.
    behaviour  the data policy μ_b of offline methods (default μ);  start  log π₀ (default log μ).
    every      steps between records (default: at most 1,000 records).
    feedback   None: exact expectations; a :class:`nashlab.environment.Feedback`: sampled responses and annotations,
               from ``seed``; each game of a batch has its own stream, so K copies of a game are K seeds.  In a
               contextual game each step draws one prompt x ~ ρ.
    schedule   of the step size: a name of :data:`nashlab.optimiser.SCHEDULES`.

    ``history`` holds "steps", "exploitability", "distance" (‖π − π*_τ‖₁), "target_distance" (to the algorithm's own
    fixed point, absent if theory gives none) and, with ``keep_path``, "log_policy"; the first entry is step 0.  For X
    independent games the series are [X, R]; for a contextual game they are averaged over its prompts, and so is the
    gradient: prompt x moves with step ηρ(x).

    >>> game = PreferenceGame.from_preferences([[0.5, 0.7], [0.3, 0.5]])
    >>> run = solve("omd", game, 1.0, step_size=0.5, steps=100)
    >>> run.status.token, round(float(run.policy[0]), 4)
    ('converged', 0.5498)
    """
    spec = get(algorithm)
    tau = check_temperature(temperature)
    spec.check(tau, step_size, beta)
    if schedule not in SCHEDULES:
        raise BadInput(f"schedule = {schedule!r}, must be one of {', '.join(SCHEDULES)}")
    if feedback is not None:
        feedback.check(spec)
        if np.max(np.abs(game.margins)) > 0.5:
            raise BadInput("game: its margins exceed ½, so they are not probabilities from which raters could answer")
    if steps < 1:
        raise BadInput(f"steps = {steps}, must be at least 1")
    log_behaviour = game.log_reference if behaviour is None else game.with_reference(behaviour).log_reference
    log_start = np.broadcast_to(game.log_reference if start is None else start, game.log_reference.shape)
    problem = Problem(game, tau, float(step_size), float(beta), log_behaviour)
    truth = nash(game, tau)
    goal = None if spec.target is None else spec.target(problem)
    every = every or max(1, math.ceil(steps / RECORDS))

    runs = math.prod(game.batch)
    per_run = np.ones(runs) if game.weights is None or spec.objective is None else game.weights

    def lead(x: NDArray[np.float64], *tail: int) -> NDArray[np.float64]:
        return np.broadcast_to(x, (*game.batch, *tail)).reshape(runs, *tail)

    n = game.n
    setting = Setting(
        log_reference=lead(game.log_reference, n),
        log_behaviour=lead(log_behaviour, n),
        temperature=np.full(runs, tau),
        step_size=step_size * per_run,
        beta=np.full(runs, float(beta)),
        time=np.zeros(runs),
    )
    seen = simulate(
        spec,
        lead(spec.judged(game, log_behaviour), n, n),
        setting,
        lead(log_start, n),
        steps,
        truth=lead(game.margins, n, n),
        nash_policy=np.exp(lead(truth, n)),
        target=None if goal is None else np.exp(lead(goal, n)),
        every=every,
        keep_path=keep_path,
        feedback=feedback if feedback is None or spec.judge == "preference" else feedback._replace(labels="soft"),
        seed=seed,
        prompts=game.weights,
        schedule=schedule,
    )
    log_policy = seen.log_policy.reshape(log_start.shape)

    def series(recorded: NDArray[np.float64]) -> NDArray[np.float64]:
        if not game.batch:
            return recorded[0]
        return recorded if game.weights is None else np.average(recorded, axis=0, weights=game.weights)

    moments = [*range(0, steps + 1, every)] + ([steps] if steps % every else [])
    history: dict[str, Any] = {
        "steps": np.array(moments),
        "exploitability": series(seen.exploitability),
        "distance": series(seen.distance),
    }
    if goal is not None:
        history["target_distance"] = series(seen.target_distance)
    if keep_path:
        history["log_policy"] = seen.path[0] if not game.batch else seen.path
    left_over = seen.movement if goal is None else seen.target_distance[:, -1]
    if not np.all(seen.alive):
        status = Status.DIVERGED
    elif np.all(left_over <= CONVERGED):
        status = Status.CONVERGED
    else:
        status = Status.STEPS_EXHAUSTED
    answer = Solution(
        game=game,
        temperature=tau,
        log_policy=log_policy,
        status=status,
        certificate=certify(game, log_policy, tau),
        history=history,
        course=Course(
            step_size=problem.step_size,
            schedule=schedule,
            nash=truth,
            target=goal,
            largest_step=None if spec.guarantee is None or feedback else spec.guarantee.largest_step(problem),
        ),
        stats={"steps": steps},
    )
    return answer.checked(throw)

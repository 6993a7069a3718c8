"""Extragradient and smooth predictive regret matching⁺: regrets keep a sum of 1 or more, and steps have a size.

extragradient:       R½ = Π(R + ηAπ(R)),    R ← Π(R + ηAπ(R½));      π(R) = R/ΣR
smooth predictive:   π = π(Π(R + ηAπ')),    R ← Π(R + ηAπ),   π' the policy played before

Π is the Euclidean projection onto {R ≥ 0, ΣR ≥ 1}: away from 0 the map R -> R/ΣR is Lipschitz.
"""

from nashlab.algorithm import AlgorithmSpec, Environment, Setting, State
from nashlab.algorithms.regret_matching import proportional
from nashlab.arrays import Array, array_namespace

OUTSIDE = 1e30  # of padded responses: so far below that no projection gives them mass


def projected(regret: Array) -> Array:
    """The nearest point of {R ≥ 0, ΣR ≥ 1}: max(R, 0) if it is inside, else the projection onto the simplex."""
    xp = array_namespace(regret)
    zero = xp.zeros_like(regret)
    positive = xp.where(regret > 0, regret, zero)
    # the simplex's threshold is the largest mean excess over the k largest entries, k = 1..n; r sorts itself by pairs
    above = regret[..., None, :] >= regret[..., :, None]
    sums = xp.sum(xp.where(above, regret[..., None, :], zero[..., None, :]), axis=-1)
    counts = xp.sum(xp.where(above, 1.0 + zero[..., None, :], zero[..., None, :]), axis=-1)
    excess = xp.max((sums - 1.0) / counts, axis=-1, keepdims=True)
    cut = xp.where(regret > excess, regret - excess, zero)
    return xp.where(xp.sum(positive, axis=-1, keepdims=True) >= 1.0, positive, cut)


def moved(regret: Array, log_opponent: Array, s: Setting, env: Environment) -> Array:
    """Π(R + ηAν); padded responses have no regret."""
    xp = array_namespace(regret)
    raised = regret + s.step_size * env.advantage(log_opponent)
    return projected(xp.where(xp.isfinite(s.log_reference), raised, xp.zeros_like(raised) - OUTSIDE))


def start(log_policy: Array) -> dict[str, Array]:
    """The first policy as regrets, whose sum is 1."""
    return {"regret": array_namespace(log_policy).exp(log_policy)}


def extragradient_update(state: State, s: Setting, env: Environment) -> State:
    """One extragradient step: two questions to the game."""
    half = moved(state["regret"], state["log_policy"], s, env)
    regret = moved(state["regret"], proportional(half, state["log_policy"]), s, env)
    return {**state, "regret": regret, "log_policy": proportional(regret, state["log_policy"])}


def predictive_update(state: State, s: Setting, env: Environment) -> State:
    """One step that predicts the last observation again: one question to the game."""
    regret = moved(state["regret"], state["log_policy"], s, env)
    expected = moved(regret, state["log_policy"], s, env)
    return {**state, "regret": regret, "log_policy": proportional(expected, state["log_policy"])}


extragradient_regret_matching = AlgorithmSpec(
    name="extragradient-regret-matching-plus",
    title="extragradient regret matching⁺",
    citation="Cai et al. 2023, arXiv 2311.00676; Farina et al. 2023, arXiv 2305.14709",
    claim="a maximal lottery, last iterate: for η ≤ 1/(√n ‖A‖₂) no step moves R away from any multiple c ≥ 1 of one; "
    "near one of full support at rate √(1 − a² + a⁴), a = ηω/ΣR, iω in the spectrum of A (R3.regret)",
    update=extragradient_update,
    init=start,
    limit="other",
    temperature_role="ignored",
    aliases=("exrm-plus",),
)

smooth_predictive_regret_matching = AlgorithmSpec(
    name="smooth-predictive-regret-matching-plus",
    title="smooth predictive regret matching⁺",
    citation="Cai et al. 2023, arXiv 2311.00676; Farina et al. 2023, arXiv 2305.14709",
    claim="a maximal lottery, last iterate, seen; near one of full support at the larger root of z² = (1 + 2ia)z − ia, "
    "a = ηω/ΣR, iω in the spectrum of A (R3.regret)",
    update=predictive_update,
    init=start,
    limit="other",
    temperature_role="ignored",
    aliases=("sprm-plus",),
)

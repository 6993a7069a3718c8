"""The registry: one file an algorithm, one line here; the command line, the tests and the bridge pick it up."""

from __future__ import annotations

import functools

from nashlab.algorithm import AlgorithmSpec
from nashlab.algorithms.best_response import best_response
from nashlab.algorithms.comal import comal
from nashlab.algorithms.dpo import offline_dpo, online_dpo
from nashlab.algorithms.egpo import egpo
from nashlab.algorithms.fictitious_play import fictitious_play
from nashlab.algorithms.gpo import online_gpo
from nashlab.algorithms.ipo_md import ipo_md, ipo_md_behaviour, ipo_md_entropic
from nashlab.algorithms.mmd import mmd
from nashlab.algorithms.mnpo import mnpo
from nashlab.algorithms.nash_ema_pg import nash_ema_pg
from nashlab.algorithms.nash_md import nash_md, nash_md_debiased
from nashlab.algorithms.nash_md_pg import nash_md_pg
from nashlab.algorithms.nash_mirror_prox import nash_mirror_prox
from nashlab.algorithms.nash_prox import nash_prox
from nashlab.algorithms.offline_ipo import offline_ipo
from nashlab.algorithms.omd import omd
from nashlab.algorithms.omwu import omwu
from nashlab.algorithms.online_ipo import online_ipo, online_ipo_entropic
from nashlab.algorithms.optimistic_mmd import optimistic_mmd
from nashlab.algorithms.regret_matching import predictive_regret_matching, regret_matching
from nashlab.algorithms.rlhf_pg import rlhf_pg
from nashlab.algorithms.rspo import rspo_chi2, rspo_forward_kl, rspo_renyi
from nashlab.algorithms.self_play_pg import self_play_pg
from nashlab.algorithms.slhf import slhf
from nashlab.algorithms.slic import offline_slic, online_slic
from nashlab.algorithms.smooth_regret_matching import (
    extragradient_regret_matching,
    smooth_predictive_regret_matching,
)
from nashlab.algorithms.sppo import spo, sppo
from nashlab.algorithms.xpo import xpo
from nashlab.game import BadInput, suggestion
from nashlab.optimiser import get_optimiser

__all__ = ["REGISTRY", "get"]

REGISTRY: dict[str, AlgorithmSpec] = {
    spec.name: spec
    for spec in (
        self_play_pg,
        omd,
        nash_md,
        nash_md_debiased,
        mmd,
        optimistic_mmd,
        egpo,
        omwu,
        mnpo,
        online_ipo,
        online_ipo_entropic,
        ipo_md,
        ipo_md_entropic,
        ipo_md_behaviour,
        nash_md_pg,
        nash_ema_pg,
        best_response,
        nash_prox,
        nash_mirror_prox,
        comal,
        sppo,
        spo,
        fictitious_play,
        regret_matching,
        predictive_regret_matching,
        extragradient_regret_matching,
        smooth_predictive_regret_matching,
        rspo_forward_kl,
        rspo_chi2,
        rspo_renyi,
        slhf,
        online_dpo,
        offline_dpo,
        online_slic,
        offline_slic,
        online_gpo,
        xpo,
        offline_ipo,
        rlhf_pg,
    )
}


def get(name: str | AlgorithmSpec) -> AlgorithmSpec:
    """The specification of a name or alias (or the argument itself); an unknown name is refused with the nearest.

    A suffix such as ``+momentum:0.9`` names an optimiser of :mod:`nashlab.optimiser`.

    >>> get("inpo").name, get("online-ipo+adam:0").title
    ('omd', 'online IPO, adam:0')
    """
    if isinstance(name, AlgorithmSpec):
        return name
    name, plus, optimiser = name.partition("+")
    if plus:
        return _by(get(name), optimiser)
    names = {alias: spec for spec in REGISTRY.values() for alias in (spec.name, *spec.aliases)}
    if name in names:
        return names[name]
    hint = suggestion(name, names, "; `nashlab algorithms` lists them")
    raise BadInput(f"algorithm {name!r} is unknown{hint}")


@functools.cache
def _by(spec: AlgorithmSpec, optimiser: str) -> AlgorithmSpec:
    """One specification for one suffix, so that what was compiled for it is found again."""
    return spec.by(get_optimiser(optimiser))

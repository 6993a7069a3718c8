"""Nash-MD-PG(β): policy gradient against the geometric mixture, θ += η E_{y~π, y'~m_β}[s(y)(p(y≻y') − ½ − τh(y))]."""

from nashlab.algorithm import AlgorithmSpec, Pointwise
from nashlab.algorithms._targets import mixture_fixed_point
from nashlab.losses import self_play_advantage

nash_md_pg = AlgorithmSpec(
    name="nash-md-pg",
    title="Nash-MD-PG",
    citation="Munos et al. 2024, arXiv 2312.00886",
    claim="π*_β, the stationary point it shares with IPO-MD(β) (L6, L9); β = 0 self-play, β = 1 best response to μ",
    left="policy",
    right="mixture",
    objective=Pointwise(self_play_advantage),
    target=mixture_fixed_point,
)

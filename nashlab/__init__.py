"""nashlab: preference games, their equilibria with certificates, and the algorithms that look for them.

Importing it loads neither torch nor jax.
"""

from nashlab.game import BadInput, PreferenceGame

__version__ = "0.1.0"

__all__ = ["BadInput", "PreferenceGame", "__version__"]

"""The model card of a trained policy: its description, its training, and its measurements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nashlab.algorithm import AlgorithmSpec

__all__ = ["model_card"]

SHOWN = ("win_rate", "win_rate_low", "win_rate_high", "win_rate_most", "held_out_kl", "held_out_length",
         "held_out_ended", "slope", "slope_low", "slope_high", "stretch", "stretch_low", "gap_most", "mixture_sd",
         "mixture_sd_high")  # fmt: skip


def model_card(
    spec: AlgorithmSpec, asked: Mapping[str, Any], record: Mapping[str, Any], *, adapters: bool = False
) -> str:
    """Markdown with the hub's front matter."""
    base = str(asked["policy"]).removeprefix("hub:")
    of_hub = base.count("/") == 1 and not base.startswith((".", "/", "~")) and not Path(base).exists()
    front = ["---", f"library_name: {'peft' if adapters else 'transformers'}", "tags:", "- preference-optimisation",
             f"- {spec.name}", *([f"base_model: {base}"] if of_hub else []), "---"]  # fmt: skip
    numbers = [f"| {name} | {record[name]:.4g} |" for name in SHOWN if record.get(name) is not None]
    settings = {**{k: v for k, v in asked.items() if k != "settings"}, **asked["settings"]}
    return "\n".join(
        [
            *front,
            "",
            f"# {base.rsplit('/', 1)[-1]}, {spec.title}",
            "",
            f"Trained with llm_bridge by {spec.title} ({spec.citation}): {spec.claim}.",
            "",
            *(
                [
                    f"On held-out prompts, by the judge used in training, after {record.get('step')} steps:",
                    "",
                    "| | |",
                    "| --- | --- |",
                    *numbers,
                    "",
                    "`win_rate` is against the policy that training started from, with its 95 % interval; "
                    "`held_out_kl` is KL(π‖μ) in nats per completion, and `win_rate_most` the largest win rate that it "
                    "allows for any preferences. At the equilibrium `slope` is τ and `stretch` at most 1; `gap_most` "
                    "bounds what the best reply to the policy could still gain.",
                    "",
                ]
                if numbers
                else []
            ),
            "| setting | value |",
            "| --- | --- |",
            *(f"| {name} | `{value}` |" for name, value in settings.items() if value is not None),
            "",
        ]
    )

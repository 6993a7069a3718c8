"""llm_bridge: nashlab's algorithms on transformers, exact where a language can be enumerated (theory §6).

From the command line: ``llm-bridge train --policy P --prompts FILE --judge J --out DIR``; ``llm-bridge --help`` lists
the other commands.  From Python:

    llm_bridge.policy       load_policy, LoraOptions, encoded, sample, reference_of: a transformer as a policy
    llm_bridge.data         load_prompts, load_pairs, mixed: prompts and comparisons in common formats
    llm_bridge.judges       FunctionJudge, ScoreJudge, ServedModel, judge_named: who prefers what
    llm_bridge.training     train, Generated, Settings; Recipe and prepared, which the command uses
    llm_bridge.preferences  train_preference_model: a preference model learned from comparisons
    llm_bridge.experiment   run_experiment: a comparison of methods, from one TOML file
    llm_bridge.verify       CHECKS: the transformer code compared with the theory
    llm_bridge.examples     runnable scripts: own judge, reward model, served judge, messages

>>> from llm_bridge.judges import FunctionJudge
>>> from llm_bridge.policy import Prompts
>>> from llm_bridge.training import Generated, Settings, train
>>> from llm_bridge.verify import tiny
>>> judge = FunctionJudge(lambda x, y, z: [0.5 + 0.5 * (a < b) - 0.5 * (b < a) for a, b in zip(y, z)])
>>> game = Generated(Prompts(["1"], [[1]]), judge, max_new_tokens=3)
>>> records = train(tiny("gpt2"), "ipo-md", game, Settings(steps=2, batch=2))
>>> [record["step"] for record in records]
[1, 2]
"""

from pathlib import Path

__version__ = "0.2.0"
__path__.append(str(Path(__file__).parent / "moved"))  # old names of modules that have since moved into rooms

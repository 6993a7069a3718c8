"""Judges by name, for configurations, the command line and Python.

    raters                  the synthetic population of :func:`llm_bridge.judges.summary_raters`
    reward-model:FOLDER     a Hugging Face sequence classifier with one label: p = σ(scale · (r − r')); or its hub name
    likelihood:POLICY       how much the prompt tells a language model about the answer, as a score
    reconstruction:POLICY   how well the prompt can be predicted from the answer, as a score
    table:FILE              JSON with prompts, the candidates of each, and its matrices P
    preference-model:FOLDER a model saved by :func:`llm_bridge.preferences.save_model`
    http:URL                a language model behind a server with OpenAI's protocol, asked in both orders
    MODULE:FUNCTION         your function, (prompts, left, right) -> numbers in [0, 1], asked in both orders; or
    FILE.py:FUNCTION        an object that is already a judge (:class:`FunctionJudge`, :class:`OneOrder`, ...)

A bare folder is a reward model, or a preference model if it holds one; a bare address is a server.

A name stands for a function that makes the judge.  Its keyword arguments are the options, given in a table with the
name: ``{name = "likelihood:smollm2", scale = 0.1}``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_bridge.data import Example
from llm_bridge.judges.http import QUESTION, ServedModel
from llm_bridge.judges.judge import FunctionJudge, Judge, TableJudge
from llm_bridge.judges.raters import summary_raters
from llm_bridge.judges.reward_models import SequenceClassifier
from llm_bridge.judges.scores import ReconstructionScore, RelevanceScore, ScoreJudge
from nashlab.game import BadInput, first_line, suggestion

__all__ = ["JUDGES", "Named", "check_judge", "judge_named"]

Named = str | Mapping[str, Any]
"""A judge's name, or a table with its name and options."""

HERE = __name__
JUDGES: dict[str, str] = {
    "raters": f"{HERE}:raters",
    "reward-model": f"{HERE}:reward_model",
    "likelihood": f"{HERE}:likelihood",
    "reconstruction": f"{HERE}:reconstruction",
    "table": f"{HERE}:table",
    "http": f"{HERE}:http",
    "preference-model": "llm_bridge.preferences:judge_in",
}
"""The constructor of each judge: a function (source, **options) -> Judge, imported on demand."""

TEXTS = ("training", "evaluation")


def judge_named(given: Named, *, training: Sequence[Example] = (), evaluation: Sequence[Example] = ()) -> Judge:
    """The judge of this name with its options; the texts are known to the synthetic raters.

    Raises :class:`BadInput` for unknown names and options, with the nearest known one, and for sources that cannot be
    read.

    >>> import operator
    >>> judge_named("operator:eq")(["x"], ["a"], ["b"])
    Traceback (most recent call last):
        ...
    nashlab.game.BadInput: judge = 'operator:eq': must take (prompts, left, right)
    """
    make, source, options = _resolved(given)
    texts = {"training": training, "evaluation": evaluation}
    wanted = {name: texts[name] for name in TEXTS if name in inspect.signature(make).parameters}
    judge: Judge = make(source, **wanted, **options)
    return judge


def check_judge(given: Named) -> None:
    """Refuse unknown names and options, and missing files, before anything is made."""
    _, source, _ = _resolved(given)
    name = _name(given).partition(":")[0]
    if name in ("table", "preference-model") and not Path(source).exists():
        raise BadInput(f"judge = {_name(given)!r}: {source} does not exist")
    if name == "reward-model" and not Path(source).exists():
        from llm_bridge.policy import located

        try:
            located(source)
        except BadInput:
            raise BadInput(f"judge = {_name(given)!r}: {source} does not exist") from None


def _name(given: Named) -> str:
    name = given if isinstance(given, str) else given.get("name")
    if not isinstance(name, str):
        raise BadInput(f"judge = {given!r}, must be a name or a table with a name")
    if name.startswith(("http://", "https://")):
        return f"http:{name}"
    if Path(name).is_dir():
        kind = "reward-model" if (Path(name) / "config.json").exists() else "preference-model"
        return f"{kind}:{name}"
    return name


def _resolved(given: Named) -> tuple[Callable[..., Any], str, dict[str, Any]]:
    """The constructor of a judge, its source, and its options."""
    whole = _name(given)
    options = {} if isinstance(given, str) else {k: v for k, v in given.items() if k != "name"}
    name, colon, source = whole.partition(":")
    if name not in JUDGES and not colon:
        known = f", must be one of {', '.join(JUDGES)}, or MODULE:FUNCTION"
        raise BadInput(f"judge = {whole!r} is unknown{suggestion(whole, JUDGES, known)}")
    if name not in JUDGES:
        name, source = "MODULE:FUNCTION", whole
        make: Callable[..., Any] = function
        _found(whole, whole)
    else:
        make = _found(JUDGES[name], whole)
        if bool(source) == (name == "raters"):
            raise BadInput(f"judge = {whole!r}, must be {name}" + ("" if name == "raters" else ":SOURCE"))
    known_options = [p for p in list(inspect.signature(make).parameters)[1:] if p not in TEXTS]
    for option in options:
        if option not in known_options:
            there_are = f", must be one of {', '.join(known_options)}" if known_options else ": it takes no options"
            raise BadInput(f"judge = {whole!r}: {option!r} is unknown{suggestion(option, known_options, there_are)}")
    return make, source, options


def _found(place: str, whole: str) -> Callable[..., Any]:
    """The function at MODULE:FUNCTION; the working directory is searched too."""
    module, _, name = place.rpartition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = getattr(_in_file(Path(module)) if module.endswith(".py") else importlib.import_module(module), name)
    except (ImportError, AttributeError, OSError, SyntaxError) as error:
        raise BadInput(f"judge = {whole!r} cannot be imported: {first_line(error)}") from error
    if not callable(found):
        raise BadInput(f"judge = {whole!r} is a {type(found).__name__}, must be a function")
    made: Callable[..., Any] = found
    return made


def _in_file(path: Path) -> Any:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- constructors ------------------------------------------------------------------------------------------------


def raters(source: str, *, training: Sequence[Example] = (), evaluation: Sequence[Example] = ()) -> Judge:
    """The synthetic population, which knows the human summaries of these texts."""
    return summary_raters(training, evaluation)


def reward_model(
    source: str, *, scale: float = 1.0, template: str | None = None, batch_size: int = 16, max_length: int = 2048
) -> Judge:
    """A sequence classifier from a folder or the hub, on prompt and answer."""
    from transformers import AutoModelForSequenceClassification

    from llm_bridge.policy import located, read_weights, tokenizer_at

    name, local = located(source)
    model = read_weights(AutoModelForSequenceClassification, name, local=local)
    tokenizer = tokenizer_at(name, local=local)
    return ScoreJudge(SequenceClassifier(model, tokenizer, template, batch_size, max_length), scale)


def likelihood(
    source: str,
    *,
    scale: float = 1.0,
    template: str = RelevanceScore.template,
    without: str = RelevanceScore.without,
    batch_size: int = 16,
    max_length: int = 256,
) -> Judge:
    """log p(answer | prompt) − log p(answer), by a language model."""
    from llm_bridge.policy import load_policy

    return ScoreJudge(RelevanceScore(load_policy(source), batch_size, max_length, template, without), scale)


def reconstruction(
    source: str,
    *,
    scale: float = 1.0,
    template: str = ReconstructionScore.template,
    batch_size: int = 16,
    max_length: int = 256,
) -> Judge:
    """log p(prompt | answer), by a language model."""
    from llm_bridge.policy import load_policy

    return ScoreJudge(ReconstructionScore(load_policy(source), batch_size, max_length, template), scale)


def table(source: str) -> Judge:
    """A file of matrices: {"prompts": [...], "candidates": [[...]], "matrices": [[[...]]]}."""
    try:
        content = json.loads(Path(source).read_text(encoding="utf-8"))
        columns = [content[name] for name in ("prompts", "candidates", "matrices")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else first_line(error)
        raise BadInput(f"judge = 'table:{source}' cannot be read: {what}") from error
    return TableJudge(*columns)


def http(
    source: str,
    *,
    model: str = "",
    key: str = "OPENAI_API_KEY",
    concurrent: int = 8,
    timeout: float = 60.0,
    retries: int = 5,
    rate: float = 0.0,
    cache: str = "",
    question: str = QUESTION,
) -> Judge:
    """A served language model, asked in both orders; see :class:`llm_bridge.judges.ServedModel`."""
    served = ServedModel(
        source,
        model=model,
        key=key,
        concurrent=concurrent,
        timeout=timeout,
        retries=retries,
        rate=rate,
        cache=cache or None,
        question=question,
    )
    return FunctionJudge(served)


def function(source: str) -> Judge:
    """A user's function, asked in both orders; an object that is already a judge is returned unchanged."""
    found = _found(source, source)
    if hasattr(found, "columns_of") or isinstance(found, (ScoreJudge, TableJudge)):
        made: Judge = found
        return made
    try:
        parameters = inspect.signature(found).parameters.values()
        inspect.signature(found).bind([], [], [], **{p.name: [] for p in parameters if p.kind is p.KEYWORD_ONLY})
    except (TypeError, ValueError) as error:
        raise BadInput(f"judge = {source!r}: must take (prompts, left, right)") from error
    return FunctionJudge(found)

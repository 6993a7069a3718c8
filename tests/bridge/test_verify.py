"""Every claim of the bridge holds on a run of its own, and its wrong twin is caught; the command says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from llm_bridge.cli import main
from llm_bridge.training import BRIDGED, Language, all_pairs, bridged, cross_pairs, restricted
from llm_bridge.verify import CHECKS, LANGUAGE, PROMPT, tiny
from nashlab.algorithms import REGISTRY
from nashlab.claims import Cases, evaluate
from nashlab.game import BadInput


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("id", CHECKS)
@pytest.mark.parametrize("canary", [False, True], ids=["claim", "twin"])
def test_the_claim_holds_and_its_twin_is_caught(id: str, canary: bool) -> None:
    result = evaluate(CHECKS[id], Cases(20, seed=1), canary=canary)
    if result.status == "skipped":
        pytest.skip(str(result.counterexample))
    assert result.status == "pass", result


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_a_listed_language_has_mass_one(family: str) -> None:
    with torch.no_grad():
        log_pi = LANGUAGE.log_policy(tiny(family), PROMPT)
    assert len(log_pi) == 15
    assert abs(float(log_pi.exp().sum()) - 1) <= 1e-12
    assert torch.allclose(restricted(log_pi), log_pi, rtol=0, atol=1e-12)


def test_a_policy_of_other_tokens_is_refused_with_the_sum() -> None:
    policy = tiny("gpt2")
    for language in (Language(LANGUAGE.symbols[:-1], LANGUAGE.eos_id, 3), Language((LANGUAGE.eos_id,), 1, 3)):
        with pytest.raises(BadInput, match=r"sum to 0\.\d+, must be all tokens of the policy"):
            language.log_policy(policy, PROMPT)


def test_methods_without_a_transformer_form_are_refused_by_name() -> None:
    for name in REGISTRY.keys() - BRIDGED.keys():
        with pytest.raises(BadInput, match=f"{name} has no transformer form"):
            bridged(name)
    with pytest.raises(BadInput, match="did you mean 'online-ipo'"):
        bridged("onlin-ipo")
    with pytest.raises(BadInput, match="must be distinct"):
        Language((1, 1), 0, 2)


def test_pairs_stay_within_their_prompt() -> None:
    groups = torch.tensor([0, 1, 0, 1, 1])
    left, right = all_pairs(groups)
    assert {(int(i), int(j)) for i, j in zip(left, right, strict=True)} == {(0, 2), (1, 3), (1, 4), (3, 4)}
    left, right = cross_pairs(torch.tensor([0, 1]), torch.tensor([1, 0, 1]))
    assert {(int(i), int(j)) for i, j in zip(left, right, strict=True)} == {(0, 1), (1, 0), (1, 2)}


def test_the_command_writes_a_report_and_its_exit_code_says_how_it_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--claims", "padding,temperature", "--json", "--out", str(tmp_path)])
    assert stop.value.code == 0
    rows = json.loads(capsys.readouterr().out)["claims"]
    assert [r["id"] for r in rows] == ["padding", "temperature"]
    assert json.loads((tmp_path / "verify.json").read_text())["claims"] == rows
    assert "2 of 2 claims hold" in (tmp_path / "report.html").read_text()
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--claims", "paddin"])
    assert stop.value.code == 2
    assert "did you mean 'padding'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--claims", "padding", "--book", str(tmp_path / "absent")])
    assert stop.value.code == 2
    assert "holds no book" in capsys.readouterr().err

"""`nashlab check` as a user meets it: three libraries, exit codes, and code that fails in every way it can."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from nashlab.check.evaluation import Fault
from nashlab.check.forms import Spec, form_of, objective
from nashlab.check.loading import load, located
from nashlab.check.process import Limits, Subject
from nashlab.cli import main
from nashlab.game import BadInput


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["check", *arguments])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


IPO = """
def loss(h_gap, p, *, tau):
    return p * (h_gap - 1 / (2 * tau)) ** 2 + (1 - p) * (-h_gap - 1 / (2 * tau)) ** 2
"""
DPO_TORCH = """
import torch.nn.functional as F

def loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, *, tau):
    gap = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return -F.logsigmoid(tau * gap).mean()
"""
SLIC_JAX = """
import jax.numpy as jnp

def slic(h_chosen, h_rejected, *, tau):
    return jnp.maximum(0, 1 - tau * (h_chosen - h_rejected))
"""


def test_ipo_of_a_file_is_self_play_with_lemma_1_s_constant(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, written(tmp_path, IPO), "--json", "--html", str(tmp_path / "page.html"))
    assert code == 0, err
    verdict = json.loads(out)
    tau = verdict["tau"]
    assert set(verdict) >= {
        "name", "tau", "offline", "online", "length", "reference", "table1", "counterexample", "looks_like",
    }  # fmt: skip
    assert verdict["name"] == "mine"
    assert list(verdict["offline"]["optimum"]) == [f"0.{k}" for k in range(1, 10)]
    for p, d in verdict["offline"]["optimum"].items():
        assert d == pytest.approx((float(p) - 0.5) / tau, abs=1e-9)
    assert verdict["offline"]["closed_form"] == "(p - 1/2)/tau"
    assert verdict["offline"]["bounded"] is verdict["offline"]["unique_at_half"] is True
    online = verdict["online"]
    assert online["parallel"] is online["vanishes_at_nash"] is True
    assert online["vanishes_at_rlhf"] is False
    assert online["constant"] == pytest.approx(4 / tau, rel=1e-9)
    assert online["distance_to_nash"] < 1e-9
    assert online["bias"] < 1e-9
    assert online["variance_over_ipo"] == pytest.approx(1.0, abs=1e-9)  # labels are drawn for both
    assert verdict["counterexample"] is None
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page
    assert "http://" not in page


def test_dpo_in_torch_averaged_over_the_batch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, written(tmp_path, DPO_TORCH), "--tau", "0.4", "--json")
    assert code == 0, err
    verdict = json.loads(out)
    assert (verdict["library"], verdict["reduction"], verdict["tau"]) == ("torch", "mean", 0.4)
    assert verdict["offline"]["optimum"]["0.8"] == pytest.approx(np.log(4) / 0.4, abs=1e-9)
    assert verdict["offline"]["bounded"] is False
    assert (verdict["online"]["vanishes_at_nash"], verdict["online"]["vanishes_at_rlhf"]) == (False, True)
    assert verdict["looks_like"] == ["dpo"]
    assert verdict["counterexample"]["preferences"] == [[0.5, 0.7], [0.3, 0.5]]
    # n = 2: online DPO rests where σ(τd) = p
    odds = (0.7 / 0.3) ** (1 / 0.4)
    assert verdict["counterexample"]["policy"][0] == pytest.approx(odds / (1 + odds), abs=1e-6)


def test_a_hinge_in_jax_and_its_name(tmp_path: Path) -> None:
    from nashlab.check.offline import Curve, offline

    with Subject(located(written(tmp_path, SLIC_JAX))) as subject:
        assert (subject.name, subject.framework) == ("slic", "jax")
        said = offline(Curve(subject, subject.tau))
    assert said["unique_at_half"] is False
    assert said["optimum"]["0.8"] == pytest.approx(2.0, abs=1e-9)


FAILURES = {
    "raises": ("    raise RuntimeError('no such luck')", "raised RuntimeError: no such luck (line 4)"),
    "nan": ("    return h_gap * np.where(h_gap > 3, np.nan, 1)", "has the value nan"),
    "shape": ("    return np.stack([h_gap, h_gap])", "returned an array of shape (2, "),
    "tuple": ("    return h_gap, p", "returned tuple"),
    "text": ("    return 'a loss'", "raised ValueError"),
    "crash": ("    import os; os.abort()", "was killed by SIGABRT"),
    "exit": ("    raise SystemExit(3)", "called exit"),
    "hard exit": ("    import os; os._exit(3)", "exited with code 3"),
    "hang": ("    while np.any(h_gap > 3): pass\n    return h_gap", "did not return within 1 s"),
    "random": ("    return h_gap + np.random.normal(size=h_gap.shape)", "two answers for the same pairs"),
    "state": ("    global n; n = globals().get('n', 0) + 1; return n * h_gap**2", "two answers for the same pairs"),
    "memory": ("    return h_gap + np.ones(2**33).sum()", "MemoryError"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_function_does_wrong_is_told_as_its_own_with_the_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    body, words = FAILURES[name]
    path = written(tmp_path, f"import numpy as np\n\ndef loss(h_gap, p, *, tau):\n{body}\n")
    begun = time.perf_counter()
    code, out, err = run(capsys, path, "--seconds", "1", "--memory", "1024")
    assert code == 1
    assert out == ""
    assert words in err
    assert "h_gap = " in err
    assert "Traceback" not in err
    assert time.perf_counter() - begun < 60
    if name in ("nan", "hang"):
        caused = float(err.split("h_gap = ")[1].split(",")[0])
        assert caused > 3 - 0.01  # a difference reaches a little beyond the pair itself


def test_a_file_that_cannot_be_loaded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for text, words in (("def loss(:\n", "not Python"), ("import nothing_of_the_kind\n", "ModuleNotFoundError")):
        code, _, err = run(capsys, written(tmp_path, text))
        assert code == 1
        assert words in err


def test_a_neighbour_does_not_stand_in_for_a_library(tmp_path: Path) -> None:
    written(tmp_path, "HELP = 3", "helper.py")
    for name in ("random.py", "argparse.py"):
        written(tmp_path, "raise SystemExit('not the library')", name)
    mine = IPO.replace("return", "return HELP *")
    path = written(tmp_path, f"import argparse, random\nfrom helper import HELP\n{mine}")
    with Subject(located(path)) as subject:
        assert subject.framework == "numpy"


def test_bad_input_names_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path, IPO)
    for target, words in (
        (str(tmp_path / "mien.py"), "no such file; did you mean"),
        (f"{path}:los", "has no function 'los'; did you mean 'loss'?"),
        ("simpoo", "did you mean 'simpo'?"),
        (written(tmp_path, "def loss(h_gpa, p, *, tau): ...", "b.py"), "did you mean 'h_gap'?"),
        (written(tmp_path, "def loss(h_gap, p): ...", "c.py"), "temperature is missing"),
        (written(tmp_path, "x = 1", "d.py"), "has no function 'loss'"),
    ):
        code, _, err = run(capsys, target)
        assert (code, words in err) == (2, True), err
    code, _, err = run(capsys, path, "--tau", "-1")
    assert code == 2
    assert "tau = -1" in err


def test_what_a_file_prints_does_not_disturb(tmp_path: Path) -> None:
    text = "print('hello', flush=True)\n" + IPO.replace("    return", "    print('again')\n    return")
    with Subject(located(written(tmp_path, text)), limits=Limits(call=5)) as subject:
        assert subject.reduction == "elementwise"


def test_forms_and_specs() -> None:
    @objective(behaviour="mixture", beta=0.5)
    def free(policy_chosen, policy_rejected, *, length_chosen, tau=0.3):  # type: ignore[no-untyped-def]
        return policy_chosen

    form = form_of(free)
    assert form.optional == ("length_chosen",)
    assert (form.tau, form.spec) == (0.3, Spec("mixture", 0.5))
    with pytest.raises(BadInput, match="did you mean 'policy'"):
        Spec("polcy")
    with pytest.raises(BadInput, match="beta belongs"):
        Spec("policy", 0.5)


def test_faults_carry_their_input(tmp_path: Path) -> None:
    path = written(tmp_path, "def loss(h_gap, p, *, tau):\n    return 1 / 0\n")
    with pytest.raises(Fault) as caught:
        Subject(located(path))
    assert "ZeroDivisionError" in caught.value.what
    assert caught.value.input is not None
    assert set(caught.value.input) == {"h_gap", "p", "tau"}
    assert load((Path(path), None))[0] == "mine"

"""The benchmark runs, with PyTorch and without; what it says follows from what it measured.  No times are judged."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import nonlocal_ref as nl
from tests import tolerances
from tests.benchmarks import accuracy, blocks, candidates, command, memory, render, targets, timing, torch_peers
from tests.benchmarks.cases import QUICK_SIZES, SIZES, STEP, VARIANTS, Case
from tests.benchmarks.growth import slope

DOCS = Path(__file__).resolve().parents[2] / "docs"

every_kind = pytest.mark.parametrize("kind", VARIANTS)


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setattr(torch_peers, "torch_is_here", lambda: False)


def run(tmp_path, *options):
    path = tmp_path / "results.json"
    assert command.main(["--quick", "--json", str(path), *options]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_all_of_it_runs_without_torch(tmp_path, no_torch, capsys):
    results = run(tmp_path, "--growth", "--rounds", "1")
    assert len(results["operations"]) == len(VARIANTS) * len(QUICK_SIZES)
    for cell in results["operations"]:
        for name, entry in cell["candidates"].items():
            if name in {"eager", "literal", "sdpa"}:
                assert entry["skipped"] == "not measured: PyTorch is not installed"
            else:
                assert entry["min"] > 0
                assert entry.get("error_ratio", 0) <= tolerances.LIMIT
    assert [line["kind"] for line in results["growth"]] == list(VARIANTS)
    assert all(point["memory"]["tracemalloc_bytes"] > 0 for line in results["growth"] for point in line["points"])
    printed = capsys.readouterr().out
    assert "PyTorch: not installed" in printed
    assert "nan" not in printed


def test_peers_compute_the_same_operation():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for kind in VARIANTS:
        case = Case(kind, 2, 24, 12, 8)
        x = case.draw()
        exact = accuracy.reference(case, x)
        for candidate in candidates.candidates_for(case):
            call, arrays = candidate.prepare(case, x)
            outputs = call()
            if arrays:
                assert max(accuracy.error_ratios(arrays(outputs), exact).values()) <= tolerances.LIMIT


def test_the_block_in_torch_is_the_same_block():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for case in blocks.block_cases(quick=True):
        row = blocks.measure(case, rounds=1, pause=0)
        assert (
            row["candidates"]["torch"]["error"] < 1000
        )  # relative to norms, after batch norm: see docs/performance.md


@every_kind
def test_the_float64_reference_is_the_dense_form_in_float64(kind):
    case = Case(kind, 2, 9, 5, 4)
    x = {name: array.astype(np.float64) for name, array in case.draw().items()}
    y, backward = nl.nonlocal_op(case.variant, *(x[name] for name in case.names), method="dense")
    exact = accuracy.reference(case, x)
    for name, got in zip(exact, [y, *backward(x["dy"])], strict=True):
        tolerances.assert_ratio(got, *exact[name], np.finfo(np.float64).eps)


def test_no_pair_of_the_concatenation_is_near_the_kink():
    case = Case("concatenation", 2, 300, 200, 16)
    x = {name: array.astype(np.float64) for name, array in case.draw().items()}
    a, b = x["theta"] @ x["w_f"][: case.D], x["phi"] @ x["w_f"][case.D :]
    assert np.min(np.abs(a[:, :, None] + b[:, None, :])) > 0.4 * STEP


@every_kind
def test_what_does_not_fit_is_not_even_allocated(kind):
    case = Case(kind, 1, 2**20, 2**20, 8)
    dense = candidates.candidate_named("dense", case)
    assert re.fullmatch(r"does not fit, needs \d+\.\d GiB", candidates.why_not(dense, case, memory_limit=2**30))
    assert candidates.why_not(candidates.candidate_named("auto", case), case, memory_limit=2**32) is None


def test_memory_sees_the_buffers():
    case = Case("dot_product", 1, 512, 512, 8)
    found = memory.measure("dense", case)
    assert found["tracemalloc_bytes"] >= 4 * case.pairs
    assert found["results_bytes"] == 4 * 4 * 512 * 8
    if found["rss_bytes"] is not None:
        assert found["rss_bytes"] < 2**30


def test_a_process_that_fails_is_an_entry_and_not_the_end():
    assert "error" in memory.measure("no such candidate", Case("softmax", *QUICK_SIZES[0]))


def test_candidates_take_turns_and_each_round_starts_with_another():
    order = []
    seconds = timing.in_turn({name: lambda name=name: order.append(name) for name in "abc"}, rounds=3, pause=0)
    assert "".join(order) == "abcbcacab"
    assert all(len(values) == 3 for values in seconds.values())


def test_the_slope_of_a_power_is_its_exponent():
    assert slope([(2**n, 7 * 2.0 ** (1.5 * n)) for n in range(4)]) == pytest.approx(1.5)
    assert slope([(8, 1.0), (16, None)]) is None


def synthetic_report(**medians):
    """A full run in which every candidate of a name took the same time everywhere."""
    cells = [
        {
            "label": Case(kind, *size).label,
            "kind": kind,
            "candidates": {name: {"median": value, "error_ratio": 2.0} for name, value in medians.items()},
        }
        for kind in VARIANTS
        for size in SIZES
    ]
    return {"quick": False, "operations": cells, "growth": []}


def test_targets_are_ratios_of_medians():
    report = synthetic_report(auto=1.0, dense=9.0, eager=4.0, sdpa=2.0, limit=0.5)
    rows = {(row["group"], row["what"]): row for row in targets.targets(report)}
    mean = rows["softmax", "time ÷ faster of eager and SDPA, geometric mean"]
    assert (mean["value"], mean["met"]) == (0.5, True)
    limit = rows["softmax", "time ÷ its own products and exps, worst of N ≥ 6272"]
    assert (limit["value"], limit["met"], render.verdict(limit)) == (2.0, False, "missed by 54 %")
    dot = rows["dot_product", "time ÷ eager, N = 8192"]
    assert (dot["value"], dot["met"], render.verdict(dot)) == (0.25, False, "missed: 25 times that")
    assert rows["concatenation", "time ÷ eager, N = 784"]["met"]


def test_a_target_is_not_met_by_leaving_sizes_out():
    report = synthetic_report(auto=1.0, eager=4.0)
    report["operations"] = [cell for cell in report["operations"] if "16384" not in cell["label"]]
    rows = {row["what"]: row for row in targets.targets(report) if row["group"] == "softmax"}
    assert rows["time ÷ faster of eager and SDPA, geometric mean"]["value"] is None
    assert rows["time ÷ eager, worst of N = M"]["met"] is None


def test_page_and_picture_come_from_the_file(tmp_path, no_torch):
    page, picture = tmp_path / "page.md", tmp_path / "images" / "growth.svg"
    page.write_text((DOCS / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    some = ["--only", "softmax 1x48|res3 softmax|growth dot", "--sections", "operations", "blocks", "--growth"]
    results = run(tmp_path, *some, "--picture", str(picture), "--page", str(page))
    filled = page.read_text(encoding="utf-8")
    assert "toy sizes" in filled
    assert "| 1 × 48 × 12, 16 |" in filled
    assert "![" in filled
    assert picture.read_text(encoding="utf-8").count("<svg") == 1
    first = picture.read_bytes()
    command.main(["--render", "--json", str(tmp_path / "results.json"), "--picture", str(picture), "--page", str(page)])
    assert (picture.read_bytes(), page.read_text(encoding="utf-8")) == (first, filled)  # the same again
    entry = results["operations"][0]["candidates"]["auto"]
    assert render.number(1e3 * entry["median"]) in filled


def test_cells_can_be_added_to_a_file(tmp_path, no_torch):
    run(tmp_path, "--only", "softmax 1x48", "--sections", "operations")
    results = run(tmp_path, "--only", "dot_product 1x48", "--sections", "operations", "--update")
    assert [cell["label"] for cell in results["operations"]] == ["softmax 1x48x12x16", "dot_product 1x48x12x16"]
    with pytest.raises(SystemExit, match="settings differ"):
        run(tmp_path, "--only", "dot_product 1x48", "--sections", "operations", "--update", "--rounds", "3")


def test_every_generated_section_of_the_page_has_contents():
    names = re.findall(r"<!-- begin generated: ([\w-]+) -->", (DOCS / "performance.md").read_text(encoding="utf-8"))
    report = {"quick": False, "complete": False, "settings": {"rounds": 7, "pause": 0.2}}
    report |= {"operations": [], "blocks": [], "growth": [], "targets": [], "environment": command.environment()}
    assert sorted(names) == sorted(render.sections(report))


def test_the_page_shows_the_committed_numbers():
    results = DOCS / "performance.json"
    if not results.exists():
        pytest.skip("docs/performance.json is not there")
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert render.fill(page, command.load(results)) == page

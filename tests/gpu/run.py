"""The tests and the comparison on a GPU, as one command: python tests/gpu/run.py [--quick] [--out DIR]

Needs the package with NumPy, SciPy and array-api-compat, CuPy, pytest and hypothesis; no network and no pytest plugin.
What else is there is used.  Ends within nine minutes (--quick: two).  Writes tests.txt, comparison.json, .md, .html,
and without --quick large.json, .md, .html and targets.json.
Exit codes: 0 all is well; 1 a test or a row failed, or was cut off; 2 the folder cannot be written; 3 no GPU.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = {False: 500, True: 105}  # for all steps together; whether it must be quick
BEGIN = 0.6  # of a comparison's time: no case begins later; as much again by half may go to TF32, see tf32.py
GRACE = 15  # for a step that was interrupted to write what it has
REPORT = {f"comparison.{kind}" for kind in ("json", "md", "html")}
FILES = {
    True: {"tests.txt"} | REPORT,
    False: {"tests.txt", "targets.json"} | REPORT | {f"large.{kind}" for kind in ("json", "md", "html")},
}
# all sizes of the benchmark, and one that no N x M matrix fits
LARGE = ("1x784x196x512x512", "4x784x196x512x512", "1x6272x1568x256x256", "1x4096x4096x32x32", "8192")
LARGE += ("1x16384x16384x32x32", "65536")

TESTS = (  # what runs on every array library, and imports nothing but what stands above
    "tests/gpu",
    "tests/test_backend.py",
    "tests/test_every_operation.py",
    "tests/test_ops.py",
    "tests/test_operation.py",
    "tests/test_norm.py",
    "tests/test_pairwise.py",
    "tests/test_positions.py",
    "tests/test_residual_block.py",
    "tests/denoise/test_global_form.py",
    "tests/denoise/test_patches.py",
    "tests/denoise/test_properties.py",
    "tests/exact/test_fast_forms.py",
    "tests/exact/test_prefix_sums.py",
)
PYTEST = ("-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-ra", "-q", "-m", "gpu")
COMPARE = ("-m", "nonlocal_ref", "compare", "--require-gpu")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two minutes: a few tests, smaller sizes")
    parser.add_argument("--out", type=Path, default=Path("nonlocal-ref-gpu"), help="folder (default: %(default)s)")
    args = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT))
    from nonlocal_ref.machine import find_gpu

    gpu = find_gpu()
    if not gpu:
        print(f"No GPU found: {gpu.reason}.")
        return 3
    print(f"GPU: {gpu.name}")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "tests.txt").touch()
    except OSError as error:
        print(f"argument --out: must be a folder to write to, got {str(args.out)!r}: {error.strerror}", file=sys.stderr)
        return 2
    stop = time.monotonic() + SECONDS[args.quick]
    codes = {}
    for name, words, share in steps(args.quick, args.out):
        seconds = share * (stop - time.monotonic())
        if "compare" in words:
            words = (*words, "--seconds", f"{max(BEGIN * seconds, 1):.0f}")
        codes[name] = run_step([sys.executable, *words], seconds, args.out / "tests.txt" if name == "tests" else None)
        if codes[name] == 0 and (left := not_tried(args.out / f"{name}.json")):
            codes[name] = 1
            print(f"{name}: the time was over before {left} cases", flush=True)
        print(f"{name}: {'passed' if codes[name] == 0 else f'FAILED, exit code {codes[name]}'}", flush=True)
    return 0 if not any(codes.values()) else 1


def steps(quick, out):
    """Name, words after python, and what part of the time that is left it may take."""
    tests = ("tests/gpu", "tests/test_every_operation.py") if quick else TESTS
    yield "tests", (*PYTEST, *tests), 0.45
    yield "comparison", (*COMPARE, *(["--quick"] if quick else []), *files(out, "comparison")), 1.0 if quick else 0.4
    if not quick:  # the oracle and NumPy take long at the last size: each f once
        yield "targets", ("tests/gpu/targets.py", str(out.resolve() / "targets.json")), 0.4
        variants = ("embedded_gaussian", "dot_product", "concatenation")
        large = ("--sizes", *LARGE, "--backends", "cupy", "--dtype", "float32", "--variants", *variants)
        yield "large", (*COMPARE, *large, *files(out, "large")), 1.0


def not_tried(file):
    """How many cases of a report had no time; 0 for a step without one."""
    if not file.exists():
        return 0
    report = json.loads(file.read_text(encoding="utf-8"))
    return sum(row["reason"].startswith("not tried") for row in report.get("rows", []))


def files(out, name):
    out = out.resolve()
    return [word for kind in ("json", "md", "html") for word in (f"--{kind}", str(out / f"{name}.{kind}"))]


def run_step(command, seconds, log=None):
    """Run it from the repository; when its time is over interrupt it, so that it writes what it has."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    print("$", "python", *(Path(word).name if word.startswith("/") else word for word in command[1:]), flush=True)
    step = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE if log else None,
        stderr=subprocess.STDOUT if log else None,
        text=True,
    )
    try:
        output, _ = step.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        step.send_signal(signal.SIGINT)
        try:
            output, _ = step.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            step.kill()
            output, _ = step.communicate()
    if log:
        log.write_text((output or "").replace(f"{ROOT}{os.sep}", ""), encoding="utf-8")
        print("\n".join((output or "").splitlines()[-15:]))
    return step.returncode


if __name__ == "__main__":
    sys.exit(main())

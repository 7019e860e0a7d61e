"""``nonlocal-ref tour``: the package at work on one photograph, with a report to keep."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from nonlocal_ref.cli.output_files import output_folder, write_files
from nonlocal_ref.cli.picture_file import read_picture
from nonlocal_ref.cli.printing import show
from nonlocal_ref.cli.progress import Stages
from nonlocal_ref.cli.tour.photograph import LEAST_SIDE, Photograph, own_photograph, standard_photograph
from nonlocal_ref.cli.usage import fail, need, use_backend

FILES = ("report.html", "report.json", "overview.png")
SEED = 0
LARGEST, CROP = 512, 64  # pixels a side of the photograph, and of what goes into a matrix of all pairs
QUICK_LARGEST, QUICK_CROP = 192, 32

DESCRIPTION = """\
Denoise a photograph with non-local means; do the same as an embedded Gaussian operation; run the four instantiations
and the block forward and backward and check every gradient; show where single pixels look.  Writes report.html,
report.json and overview.png.
"""


def add_tour(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "tour",
        help="see everything at work on one photograph, and keep a report",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "--image", metavar="FILE", type=Path, help="a picture of your own (default: one from scikit-image)"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("nonlocal-ref-tour"),
        help="folder to write to (default: %(default)s)",
    )
    parser.add_argument(
        "--backend", choices=("numpy", "cupy"), default="numpy", help="where to compute (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="a smaller photograph and crop: a few seconds")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """All stages, then the files, then the table; 1 where a number is not what it must be."""
    need("tour", "numpy", "skimage", "PIL", "tifffile", "tqdm", "jinja2", "matplotlib")
    use_backend("tour", args.backend)
    photograph = load(args)
    with output_folder("tour", "--out", args.out, FILES):
        report, contents = take(photograph, args)
        write_files("tour", "--out", {args.out / name: content for name, content in contents.items()})

    from nonlocal_ref.cli.tour.report import terminal_table

    show(terminal_table(report, str((args.out / "report.html").resolve())))
    return 0 if report["ok"] else 1


def load(args: argparse.Namespace) -> Photograph:
    """The photograph that was asked for, reduced where it is large."""
    sizes = (QUICK_LARGEST, QUICK_CROP) if args.quick else (LARGEST, CROP)
    if args.image is None:
        return standard_photograph(*sizes)
    picture = read_picture("tour", "--image", args.image, upright=True)
    height, width, _ = picture.samples.shape
    if min(height, width) < LEAST_SIDE:
        fail("tour", f"argument --image: must have at least {LEAST_SIDE} x {LEAST_SIDE} pixels, got {width} x {height}")
    name = args.image.name.encode("utf-8", "replace").decode()  # a name may hold any bytes
    return own_photograph(name, picture, *sizes)


def take(photograph: Photograph, args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The stages one after another -> the numbers, and the files to write."""
    from nonlocal_ref.cli.tour import pictures, report
    from nonlocal_ref.cli.tour.attention import where_pixels_look
    from nonlocal_ref.cli.tour.bridge import compare_both_ways
    from nonlocal_ref.cli.tour.denoising import denoise_photograph
    from nonlocal_ref.cli.tour.features import leading_components
    from nonlocal_ref.cli.tour.gradients import run_and_check
    from nonlocal_ref.cli.tour.machine import describe_machine

    rng = np.random.default_rng(SEED)
    stages = Stages()
    with stages.stage("denoise") as tick:
        denoising = denoise_photograph(photograph.values, args.backend, rng, tick)
    with stages.stage("as attention") as tick:
        bridge = compare_both_ways(photograph.crop.of(denoising.noisy), args.backend, tick)
    with stages.stage("gradients") as tick:
        runs = run_and_check(leading_components(photograph.crop.of(denoising.noisy)), args.backend, rng, tick)
    with stages.stage("where pixels look") as tick:
        noisy, denoised = photograph.view.of(denoising.noisy), photograph.view.of(denoising.denoised)
        looks = where_pixels_look(noisy, denoised, leading_components(noisy), args.backend, tick)
    with stages.stage("pictures"):
        drawn = pictures.draw_all(photograph, denoising, bridge, looks)
        overview = pictures.overview(photograph, denoising, looks[0])
    machine = describe_machine(args.backend)
    found = report.numbers(
        report.Tour(photograph, denoising, bridge, runs, looks, machine, stages.seconds, args.quick, SEED)
    )
    return found, dict(zip(FILES, (report.to_html(found, drawn), report.to_json(found), overview), strict=True))

"""``nonlocal-ref denoise IN OUT``: non-local means for a picture file."""

import argparse
import math
from pathlib import Path
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.backend import to_numpy
from nonlocal_ref.cli.output_files import check_file, write_files
from nonlocal_ref.cli.picture_file import check_suffix, encode_picture, read_picture
from nonlocal_ref.cli.printing import show
from nonlocal_ref.cli.progress import Stages
from nonlocal_ref.cli.usage import fail, need, number, use_backend, whole_number

DESCRIPTION = """\
Denoise a picture: each pixel becomes the average of those whose patches look like its own.
Samples are taken as numbers from 0 to 1, and --sigma and --h are in that unit.  8 and 16 bits, grey and RGB come back
as they went in; alpha is kept as it is.
"""


def add_denoise(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "denoise",
        help="remove noise from a picture file with non-local means",
        description=DESCRIPTION,
    )
    parser.add_argument("input", metavar="IN", type=Path, help="PNG, TIFF, JPEG, BMP or WebP")
    parser.add_argument("output", metavar="OUT", type=Path, help=".png, .tif, .jpg, .bmp or .webp")
    unit = "; samples are taken as 0 to 1 (8-bit levels / 255)"
    parser.add_argument(
        "--sigma", required=True, type=number(0, 1, hint=unit), help="standard deviation of the noise, 0 to 1"
    )
    parser.add_argument(
        "--h",
        type=number(0, math.inf, hint=unit),
        help="how different patches may be; more smooths more (default: 0.8 sigma)",
    )
    parser.add_argument(
        "--patch-size", type=whole_number(1, odd=True), default=7, help="side of the patches, odd (default: 7)"
    )
    parser.add_argument(
        "--patch-distance", type=whole_number(0), default=11, help="radius of the search window (default: 11)"
    )
    for option, what, choices in (
        ("--patch-weights", "how much each pixel of a patch counts", ("flat", "gaussian")),
        ("--padding", "what patches see beyond the border", ("reflect", "symmetric", "edge", "wrap")),
        ("--center", "weight of the pixel itself: 1, the largest of the others, none", ("one", "max", "zero")),
        ("--backend", "where to compute", ("numpy", "cupy")),
    ):
        parser.add_argument(option, choices=choices, default=choices[0], help=f"{what} (default: {choices[0]})")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, denoise, write; the output file is whole or not there."""
    need("denoise", "PIL", "tqdm", "tifffile")
    h = args.h if args.h is not None else 0.8 * args.sigma
    if h == 0:
        fail("denoise", "argument --h: is 0.8 sigma where absent and must be greater than 0, got --sigma 0 and no --h")
    use_backend("denoise", args.backend)
    picture = read_picture("denoise", "IN", args.input)
    check_suffix("denoise", "OUT", args.output, picture.mode)
    check_file("denoise", "OUT", args.output)

    stages = Stages()
    with stages.stage("denoise") as tick:
        denoised = nl.non_local_means(
            nl.to_backend(picture.colours, args.backend),
            h=h,
            sigma=args.sigma,
            patch_size=args.patch_size,
            patch_distance=args.patch_distance,
            patch_weights=args.patch_weights,
            padding=args.padding,
            center=args.center,
            channel_axis=-1,
            progress=tick,
        )
        result = picture.with_colours(to_numpy(denoised))
    write_files("denoise", "OUT", {args.output: encode_picture(result, args.output)})

    height, width, _ = picture.samples.shape
    took = f"{stages.seconds['denoise']:.1f} s"
    show(f"{args.input} ({width} x {height}, {picture.mode}), sigma {args.sigma:g}, h {h:g}, {took} -> {args.output}")
    return 0

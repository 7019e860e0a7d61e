"""Everything the stages found -> report.json and report.html."""

import base64
import inspect
import json
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.checker import LeafReport
from nonlocal_ref.cli.tour import denoising as settings
from nonlocal_ref.cli.tour.attention import SHARPNESS, Look
from nonlocal_ref.cli.tour.bridge import LIMIT, Bridge, denoise_by_attention
from nonlocal_ref.cli.tour.denoising import Denoising
from nonlocal_ref.cli.tour.gradients import GRID, Run
from nonlocal_ref.cli.tour.photograph import Photograph
from nonlocal_ref.cli.tour.pictures import NAMES

SCHEMA_VERSION = 1  # counts up when a key changes its meaning or goes away


@dataclass(frozen=True)
class Tour:
    """What all stages returned."""

    photograph: Photograph
    denoising: Denoising
    bridge: Bridge
    runs: list[Run]
    looks: list[Look]
    machine: dict[str, Any]
    seconds: dict[str, float]
    quick: bool
    seed: int


def numbers(tour: Tour) -> dict[str, Any]:
    """The content of report.json; NaN and inf, which JSON lacks, are null."""
    photograph, denoising, bridge = tour.photograph, tour.denoising, tour.bridge
    height, width, channels = photograph.values.shape
    leaves = [leaf for run in tour.runs for leaf in run.report]
    gradients_ok = all(bool(run.report) for run in tour.runs)
    denoised = denoising.psnr_denoised > denoising.psnr_noisy
    return {
        "schema": "nonlocal_ref tour",
        "schema_version": SCHEMA_VERSION,
        "version": nl.__version__,
        "ok": bridge.ok and gradients_ok,
        "quick": tour.quick,
        "seed": tour.seed,
        "photograph": {
            "name": photograph.name,
            "height": height,
            "width": width,
            "channels": channels,
            "original_height": photograph.original_shape[0],
            "original_width": photograph.original_shape[1],
            "reduced": photograph.reduced,
            "view": photograph.view._asdict(),
            "crop": photograph.crop._asdict(),
        },
        "denoising": {
            "sigma": settings.SIGMA,
            "h": settings.H,
            "patch_size": settings.PATCH_SIZE,
            "patch_distance": settings.PATCH_DISTANCE,
            "psnr_noisy": finite(denoising.psnr_noisy),
            "psnr_denoised": finite(denoising.psnr_denoised),
            "improved": denoised,
        },
        "bridge": {
            "difference_in_window": finite(bridge.difference_in_window),
            "difference_everywhere": finite(bridge.difference_everywhere),
            "largest_difference": finite(bridge.largest_difference),
            "limit": LIMIT,
            "ok": bridge.ok,
        },
        "gradients": {
            "ok": gradients_ok,
            "checked": len(leaves),
            "right": sum(leaf.status == "right" for leaf in leaves),
            "grid": GRID,
            "runs": [run_numbers(run) for run in tour.runs],
        },
        "attention": [
            {"kind": look.kind, "row": look.row + photograph.view.top, "column": look.column + photograph.view.left}
            | {"largest_weight": {name: finite(float(weights.max())) for name, weights in look.maps.items()}}
            for look in tour.looks
        ],
        "machine": tour.machine,
        "seconds": tour.seconds | {"total": sum(tour.seconds.values())},
    }


def run_numbers(run: Run) -> dict[str, Any]:
    """One operation: times, verdict, and every gradient."""
    return {
        "operation": run.operation,
        "variant": run.variant,
        "positions": run.positions,
        "forward_seconds": run.forward,
        "backward_seconds": run.backward,
        "status": run.report.status,
        "problems": [f"{problem.culprit} {problem.message}" for problem in run.report.problems],
        "largest_share_of_allowed_error": finite(max((share(leaf) for leaf in run.report), default=0.0)),
        "gradients": [
            {
                "name": leaf.name,
                "shape": list(leaf.shape),
                "status": leaf.status,
                "method": leaf.method,
                "error": finite(leaf.error),
                "allowed": finite(leaf.bound),
            }
            for leaf in run.report
        ],
    }


def share(leaf: LeafReport) -> float:
    """Error in units of what is allowed; NaN is the largest."""
    if leaf.error == 0:
        return 0.0
    value = leaf.error / leaf.bound if leaf.bound else math.inf
    return math.inf if math.isnan(value) else value


def finite(value: float) -> float | None:
    """The number, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def scientific(value: float | None) -> str:
    """A number as in 9.3e-15."""
    return "not a number" if value is None else f"{value:.1e}"


def decibel(value: float | None) -> str:
    """A number of decibels with two decimals, as in 29.43."""
    return "not a number" if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share as in 5.9 %, with a space that does not break."""
    return "not a number" if value is None else f"{100 * value:.2g}\N{NO-BREAK SPACE}%"


def seconds(value: float) -> str:
    """Milliseconds below one second."""
    if value >= 1:
        return f"{value:.1f} s"
    return f"{1000 * value:.0f} ms" if value >= 0.01 else f"{1000 * value:.1f} ms"


def to_json(report: dict[str, Any]) -> bytes:
    """report.json."""
    return (json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def to_html(report: dict[str, Any], pictures: dict[str, bytes]) -> bytes:
    """report.html: one file, nothing to load from anywhere."""
    from jinja2 import Environment, StrictUndefined

    def data_uri(name: str) -> str:
        kind = "png" if pictures[name].startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(pictures[name]).decode()}"

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"scientific": scientific, "decibel": decibel, "percent": percent, "seconds": seconds}
    template = files("nonlocal_ref.cli.tour").joinpath("report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        r=report, picture=data_uri, names=NAMES, source=inspect.getsource(denoise_by_attention), sharpness=SHARPNESS
    )
    return str(page).encode()


def terminal_table(report: dict[str, Any], written: str) -> str:
    """A few lines for the terminal, ASCII alone."""
    photograph, denoising, bridge, gradients, machine = (
        report[key] for key in ("photograph", "denoising", "bridge", "gradients", "machine")
    )
    size = f"{photograph['width']} x {photograph['height']}"
    if photograph["reduced"]:
        size += f", reduced from {photograph['original_width']} x {photograph['original_height']}"
    before, after = decibel(denoising["psnr_noisy"]), decibel(denoising["psnr_denoised"])
    different = "" if bridge["ok"] else "  DIFFERENT"
    suspects = [f"{run['operation']} {run['variant']}" for run in gradients["runs"] if run["status"] != "right"]
    wrong = f"  WRONG: {', '.join(suspects)}" if suspects else ""
    library = f"{machine['backend']} {machine['versions'][machine['backend']]}"
    rows = {
        "photograph": f"{photograph['name']}, {size}",
        "denoised": f"{before} dB -> {after} dB (noise {denoising['sigma']:g})",
        "as attention": f"largest difference {scientific(bridge['largest_difference'])}"
        f" (limit {bridge['limit']:g}){different}",
        "gradients": f"{gradients['right']} of {gradients['checked']} right{wrong}",
        "ran on": f"{library}, {machine['dtype']}, {machine['device']}",
        "time": f"{report['seconds']['total']:.1f} s",
        "report": written,
    }
    return "\n".join(f"{name:<13} {value}" for name, value in rows.items())

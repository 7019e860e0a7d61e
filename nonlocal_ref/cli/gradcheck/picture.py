"""Error against step size as a picture: the V of a difference, and the complex step, which has no second branch."""

import io
from typing import Any

Entry = dict[str, Any]

# Colours of Okabe and Ito, which every kind of colour vision tells apart; marks and dashes for print without colour.
# The complex step is drawn first and wide: over a large step it lies under the central difference.
STYLES: dict[str, dict[str, Any]] = {
    "complex": {"color": "#009E73", "marker": "^", "linewidth": 4.5, "markersize": 8, "alpha": 0.55},
    "central": {"color": "#D55E00", "marker": "o", "linestyle": "--", "markerfacecolor": "white"},
    "fourth": {"color": "#0072B2", "marker": "s", "markersize": 5},
}
LABELS = {
    "central": "central difference, (f(h) - f(-h)) / 2h",
    "fourth": "fourth-order difference",
    "complex": "complex step, Im f(ih) / h",
}
FLOOR = 2e-17  # where an error of exactly 0 is drawn
GREY = "#555555"


def draw(report: Entry, kind: str) -> bytes:
    """A PNG or SVG file, the same bytes for the same report."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curve = report["curve"]
    with rc_context({"font.size": 11, "svg.hashsalt": "gradcheck"}):
        figure = Figure(figsize=(9, 5.6), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set(xscale="log", yscale="log", xlim=(2, 5e-17), ylim=(1e-17, 5))
        axes.set_title("A smaller step is better, until rounding takes over", loc="left", fontweight="bold")
        axes.set_ylabel("relative error of the measured derivative")
        axes.set_xlabel(f"step h, smaller to the right\n\n{caption(curve)}")
        axes.grid(color="#e2e2e2", linewidth=0.8)
        axes.set_axisbelow(True)
        for name, style in STYLES.items():
            errors = [max(error, FLOOR) for error in curve["errors"][name]]
            axes.plot(curve["steps"], errors, label=LABELS[name], markevery=2, **style)
        add_words(axes, curve["eps"])
        handles = dict(zip(STYLES, axes.get_legend_handles_labels()[0], strict=True))
        axes.legend(handles=[handles[name] for name in LABELS], loc="upper center", framealpha=1, edgecolor="#e2e2e2")
        file = io.BytesIO()
        figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return file.getvalue()


def caption(curve: Entry) -> str:
    """What was measured."""
    operation = curve["operation"].replace("_", " ")
    return f"{operation}, {curve['dtype']}, along {curve['directions']} random directions of {curve['argument']}"


def add_words(axes: Any, eps: float) -> None:
    """What makes each branch, and the precision of the numbers."""
    axes.axhline(eps, color=GREY, linewidth=1, linestyle=":")
    axes.text(1.2, eps * 1.6, f"eps = {eps:.1e}", color=GREY)
    axes.text(3e-2, 1e-8, "h⁴", color=STYLES["fourth"]["color"], fontsize=14, ha="right", fontweight="bold")
    axes.text(2e-4, 3e-7, "h²", color=STYLES["central"]["color"], fontsize=14, ha="left", fontweight="bold")
    axes.text(3e-10, 3e-9, "rounding: eps / h", color=GREY, ha="left")
    axes.text(1e-12, 3e-15, "nothing is subtracted, nothing is lost", color="#00724f", ha="center")

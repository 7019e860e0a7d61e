"""How time and memory grow with N, drawn from the JSON.

On a white ground of its own, so that it reads on light and on dark pages.  The colours are Okabe and Ito's, which
everyone can tell apart, and each line has its own marker as well.
"""

from tests.benchmarks.cases import TITLES
from tests.benchmarks.growth import extra_bytes

STYLES = {"softmax": ("#0072B2", "o"), "dot_product": ("#D55E00", "s"), "concatenation": ("#009E73", "^")}
INK, SOFT = "#222222", "#666666"
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "nonlocal_ref",  # the same file for the same numbers
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    **dict.fromkeys(["text.color", "axes.labelcolor", "xtick.color", "ytick.color"], INK),
}


def draw(report, path):
    """Two panels in log-log axes, time and memory; writes .svg or .png, as the path says."""
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10.5, 5), layout="constrained", facecolor="white")
        times, memory = figure.subplots(1, 2)
        label_axes(times, "Time, forward and backward", "seconds")
        label_axes(memory, "Memory beside arguments and results", "MiB")
        for line in report["growth"]:
            plot_line(times, line, lambda point: point.get("seconds"))
            plot_line(memory, line, mebibytes)
        plot_matrix(memory, report)
        handles, labels = memory.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) or 1, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = path.suffix.lstrip(".")
        figure.savefig(path, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)


def label_axes(axes, title, unit):
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlabel("N = M, positions")
    axes.set_ylabel(unit)
    axes.grid(which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)


def mebibytes(point):
    return (extra_bytes(point) or 0) / 2**20


def plot_line(axes, line, value):
    points = [(p["N"], value(p)) for p in line["points"] if value(p)]
    if points:
        colour, marker = STYLES[line["kind"]]
        label = f"{TITLES[line['kind']]}, D = {line['D']}"
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)


def plot_matrix(axes, report):
    """What one N x M matrix of float32 takes, up to the top of the panel."""
    positions = sorted({p["N"] for line in report["growth"] for p in line["points"]})
    if positions:
        low, high = axes.get_ylim()
        matrix = [4 * n * n / 2**20 for n in positions]
        axes.plot(positions, matrix, color=SOFT, linestyle="--", linewidth=1.2, label="one N × M matrix")
        axes.set_ylim(low, 4 * high)

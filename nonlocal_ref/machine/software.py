"""Python, packages, the BLAS that NumPy uses, and the commit of this package."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import nonlocal_ref as nl

PACKAGES = {  # distribution -> module
    "numpy": "numpy",
    "scipy": "scipy",
    "array-api-compat": "array_api_compat",
    "threadpoolctl": "threadpoolctl",
    "array-api-strict": "array_api_strict",
    "torch": "torch",
    "jax": "jax",
    "cupy": "cupy",
}
VARIABLES = (
    *("CUPY_TF32", "CUPY_ACCELERATORS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    *("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE"),
)


def python_name() -> str:
    """The interpreter and its version, as in CPython 3.12.3."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def package_versions() -> dict[str, str]:
    """What is installed of the libraries that this package can use, without importing any of them."""
    found = {name: version(name, module) for name, module in PACKAGES.items()}
    return {"nonlocal_ref": nl.__version__} | {name: text for name, text in found.items() if text is not None}


def version(name: str, module: str) -> str | None:
    """Version of a distribution; "unknown" where the module is there without one; None where there is neither."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    if not importable(module):
        return None
    names = importlib.metadata.packages_distributions().get(module, [])  # cupy comes as cupy-cuda12x, cupy-cuda13x
    return importlib.metadata.version(names[0]) if names else "unknown"


def importable(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # put out of reach
        return False


def blas_libraries() -> list[dict[str, Any]]:
    """The BLAS libraries that are loaded: name, version, kernel, threads.  Empty without threadpoolctl."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    return [
        {
            "name": library["internal_api"],
            "version": library.get("version"),
            "kernel": library.get("architecture"),
            "threads": library["num_threads"],
            "used_by": owner(library["filepath"]),
        }
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    ]


def owner(file: str) -> str:
    """Which package brought a library along, from the folder it lies in."""
    for part in reversed(Path(file).parts[:-1]):
        name = part.partition(".")[0].lower()
        if name in {"numpy", "scipy", "torch"}:
            return name
    return "the system"


def variables() -> dict[str, str]:
    """The environment variables that change speed or accuracy, where they are set."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def git_commit() -> str | None:
    """The commit of this package where it runs from a checkout of its own, with a "+" where files differ from it."""
    root = Path(nl.__file__).resolve().parents[1]
    if not (root / ".git").exists() or not (root / "pyproject.toml").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(
                ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")

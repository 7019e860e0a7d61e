"""What this machine has and what it lacks: what ``nonlocal-ref doctor`` says, and what a comparison notes down.

    processor, cores, memory               hardware.py
    packages, the BLAS, the commit         software.py
    is there a GPU, and if not, why not    gpu.py
    all of it in a few lines               diagnosis.py
    did OpenBLAS pick the right kernel     blas_kernels.py, which measures in child processes: matrix_product.py
    how many kernels a call starts         launches.py, on a GPU
    writing files, whole or not at all     whole_files.py
    texts without folders                  folders.py

No names of people or machines, and no folders.
"""

from nonlocal_ref.machine.diagnosis import diagnose
from nonlocal_ref.machine.gpu import find_gpu

__all__ = ["diagnose", "find_gpu"]

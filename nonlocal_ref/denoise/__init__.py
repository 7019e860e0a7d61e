"""Classic non-local means: each pixel becomes the average of the pixels whose patches look like its own.

    y_i = Σ_j w_ij x_j / Σ_j w_ij,    w_ij = exp(-max(d²_ij - 2σ², 0) / h²),    j in the search window of i

    settings.py      the choices behind one call: sizes, h, σ, borders, centre
    patches.py       patches: their borders, their weights a_k, sums over them
    shift_form.py    one offset j - i at a time, every pixel at once: no N x N matrix
    global_form.py   the same as one embedded Gaussian operation, eqs. (1) and (3): the bridge to the learned block
    denoiser.py      `non_local_means`, the door to both

Inside, an image is (C, *S): channels first, then one to three spatial axes.
"""

from nonlocal_ref.denoise.denoiser import non_local_means
from nonlocal_ref.denoise.global_form import denoising_operands, window_mask
from nonlocal_ref.denoise.patches import patch_embedding

__all__ = ["denoising_operands", "non_local_means", "patch_embedding", "window_mask"]

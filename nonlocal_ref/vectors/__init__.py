"""Golden vectors: inputs, parameters, outputs and gradients of the block in one file, to test against in any language.

    which blocks             cases.py
    the numbers of one       computation.py
    writing the file         writing.py: `write_vectors`
    checking it              checking.py: `check_vectors`

The format is written down in docs/vectors.md.
"""

from nonlocal_ref.vectors.checking import VectorsReport, check_vectors
from nonlocal_ref.vectors.writing import write_vectors

__all__ = ["VectorsReport", "check_vectors", "write_vectors"]

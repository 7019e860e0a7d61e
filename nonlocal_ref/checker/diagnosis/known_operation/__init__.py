"""What may be wrong in an operation that we know: it is written out with one usual mistake at a time, and compared.

is the value that of eqs. (1) to (6)?         recognition.py
the operation, from pieces to be exchanged    pieces.py
pieces with a wrong way back                  wrong_pairwise.py, eqs. (1) to (5); wrong_block.py, eq. (6)
which of them makes which mistake             mistakes.py
the hypotheses on a gradient                  known.py
"""

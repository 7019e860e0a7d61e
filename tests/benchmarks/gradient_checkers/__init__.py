"""Our gradient checker beside those of PyTorch and JAX and the one that CS231n teaches, on the same functions.

functions.py   what is checked, and how a mistake is planted
checkers.py    each checker as (op, arrays, seed) -> "right", "wrong" or "undecided"
measure.py     the smallest mistake each rejects; false alarms; time
page.py        the JSON as tables, and these as sections of docs/gradient_checkers.md
run.py         the command
"""

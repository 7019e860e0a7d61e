"""Our own gradients, every one of them, against measured derivatives; and the error of a measurement over its step.

what is checked                     cases.py
case -> numbers, a plain report     checking.py; summary.py says it in one line
error against step size             curve.py
report -> text, picture             terminal.py, picture.py
"""

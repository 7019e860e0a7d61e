"""Somebody's operation or block, given by its name, against this package.

MODULE:NAME -> an object           finding.py
operation or block, which one      subject.py
how to repeat it in Python         python_call.py
the report as JSON                 report_file.py
"""

"""Somebody's operation or block, given by its name, against this package.

MODULE:NAME -> an object           finding.py
operation or block, which one      subject.py
the report as JSON                 report_file.py
"""

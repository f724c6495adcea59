"""Test doubles for writing a platform: a recording worker context, a driver for worlds, transcripts, virtual time.

They belong to no test framework: what does not hold raises an AssertionError or a TimeoutError.
"""

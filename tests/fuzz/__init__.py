"""Inputs that nobody would think of, for everything that reads what others wrote: no crash, no hang, one verdict.

`make fuzz` searches for a minute, with other inputs every time; the ordinary suite tries a few hundred, always the
same. A failure prints the smallest input that was found for it.
"""

"""Bytes on the forwarder's disk, whatever is in them.

`holes` gives parts of a file back, `reserve` has some space for where none is left, `fair_share` decides who loses how
much, `replace` writes small files that are never half.
"""

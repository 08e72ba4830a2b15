"""The exchange's JSON, to and from the house's facts and commands. Pure: bytes in, values out; nothing here awaits.

Rules: every number is an integer in the units of `units.py` from here on; a field that is missing or of another type is
a `WireError` with a stable `kind`, never a default; an absent optional field is None or empty, as the docstring of its
value says.
"""

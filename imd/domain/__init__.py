"""The meaning of a family-doctor conversation, as plain values and rules.

Every other room builds on this one, so that a rule of the contract's page 1 has exactly one
home. Nothing in here does I/O, reads a clock, draws a random number or knows JSON: a value goes
in, a value or a :class:`imd.domain.errors.ImError` comes out.
"""

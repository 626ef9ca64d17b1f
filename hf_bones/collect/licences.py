"""Licences: a source's own words as an SPDX identifier, the attribution that a licence asks for, and which licences may be fetched.

Nothing is guessed: what is not clearly one licence is "unknown", and policy decides on it.
"""

from __future__ import annotations

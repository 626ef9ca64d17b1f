"""What Python programs may call: one function a step, each a thin layer over what the command of that name calls.

The functions are imported from `hf_bones` itself; how they are laid out here is not promised.
"""

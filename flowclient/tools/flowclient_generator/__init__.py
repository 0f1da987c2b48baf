"""Write the client's query functions from the engine's registry.

A development tool; not part of the package.
"""

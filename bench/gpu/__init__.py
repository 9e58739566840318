"""`python -m bench gpu`: trains, packages and joins all that ships, on one GPU, and measures it there.

Every step is a call of the command or function that does it alone.
"""

"""Lesions: what of a mask hangs together in a stack, how large each is, how long and wide, and on which side.

No units are guessed: whoever asks says how far pixels lie from each other, and has pixels where nobody knows.
Never imports torch.
"""

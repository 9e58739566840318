"""Training of networks: recipes, data, losses, the loop and what it writes. Imports torch, except where it says not to.

`configuration` and `recipes` say what is trained, `samples` and `augmentation` what it sees, `losses` and `agreement`
how it is validated, `module` one step, `run` the whole, `callbacks` and `records` what it leaves behind.
"""

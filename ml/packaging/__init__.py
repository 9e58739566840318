"""From a checkpoint to a model package. Imports torch.

`temperature` makes the confidence mean something, `mask_rule` chooses threshold and smallest area, both on validation
patients; `quantization` makes the int8 form and `parity` proves it; `figures` measures what goes on the card.
"""

"""From a checkpoint to a model package. Imports torch.

card_facts: the card before anything is measured. temperature: calibrates the confidence; choices: the rules, on
validation patients or on out-of-fold maps. quantization: makes the int8 form; parity: compares it with torch fp32.
ood_fit: fits the out-of-distribution check. surroundings: slices alone and in their stacks. measuring, card_metrics:
measure what the card states. package_writer: writes the folder. packages: the order of all this; ensembles: of packages
that are joined.
"""

"""What a package's card decides with, chosen on maps of patients that the network did not see. Imports torch.

maps: probability maps beside the experts' masks, and their components, counted once. rules: threshold, smallest area,
depth and doubt. folds: a finished cross-validation. out_of_fold: everything chosen on it, and honest figures.
"""

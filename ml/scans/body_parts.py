"""Which part of the body a DICOM header says that it shows, as far as that is surely not the head."""

import re

# BodyPartExamined as the standard defines it (PS3.16 Annex L) and as scanners and people write it, in study
# descriptions too. Parts that a series of the head may be filed under (neck, spine, "whole body") are not among them.
_OTHER_PARTS = (
    r"abdom\w*|pelvis|chest|thorax|lungs?|breasts?|mamma|heart|cardiac|liver|kidneys?|pancreas|spleen|prostate|uterus|"
    r"bladder|rectum|colon|shoulders?|clavicle|humerus|upper arm|arms?|elbows?|forearm|wrists?|hands?|fingers?|thumb|"
    r"hips?|femur|thighs?|knees?|legs?|calf|ankles?|foot|feet|toes?|calcaneus|patella|extremity|upper ?extremity|"
    r"lower ?extremity|l ?spine|t ?spine|tl ?spine|ls ?spine|s ?spine|lumbar( spine)?|thoracic spine|sacrum|coccyx"
)
_OTHER = re.compile(rf"(?<![a-z])(?:{_OTHER_PARTS})(?![a-z])")
_HEAD = re.compile(
    r"head|brain|skull|cran|cereb|neuro|schädel|kopf|hirn|enc[eé]phal|cerveau|t[eê]te|cabeza|iac|orbit|pituitar|sella|face|facial|sinus"
)


def is_other_part(text: str) -> bool:
    """Whether the words name another part of the body, and none of the head."""
    words = re.sub(r"[\W_]+", " ", text.lower())
    return _OTHER.search(words) is not None and _HEAD.search(words) is None

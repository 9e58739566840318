"""Which files of a folder are a data set's: by the ends of their names, and one name."""

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp")
ANNOTATIONS_FILE = "_annotations.coco.json"

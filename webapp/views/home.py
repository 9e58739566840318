"""The portal's first page: the drop zone and the last scans."""

from flask import Blueprint, current_app, render_template

from ml.synthetic.phantoms import PHANTOMS
from webapp.context import resources
from webapp.domain.scans import history, sequence_groups
from webapp.domain.scans.history import HistoryFilter
from webapp.schemas.fields import dump
from webapp.schemas.scans import ScanSchema

bp = Blueprint("home", __name__)

RECENT = 12
# What `scan_card` of templates/macros/cards.html shows; a name that it asks for in vain is an error.
ON_A_CARD = (
    *("id", "filename", "slice_count", "series", "created_at", "study", "same_as"),
    *(
        f"segmentation.{name}"
        for name in (
            *("id", "status", "queue_position", "slices_done", "error", "warnings", "verdict", "coverage_percent"),
            *("uncounted_pixels", "threshold", "min_tumor_pixels", "doubt", "slices.dropped"),
        )
    ),
)
ACCEPTS_PICTURES = ".png,.jpg,.jpeg,.jpe,.jfif,.tif,.tiff,.webp"
ACCEPTS = f"{ACCEPTS_PICTURES},.nii,.nii.gz,.gz,.zip,.dcm,.dicom,.ima"
PICTURES_SENTENCE = "PNG, JPEG, TIFF (also 16 bit and stacks), WebP"
FORMATS_SENTENCE = f"{PICTURES_SENTENCE}, NIfTI (.nii, .nii.gz) and DICOM series"


@bp.get("/")
def show() -> str:
    """Drop a scan; see the last ones."""
    with resources().database.read() as session:
        page = history.page(session, HistoryFilter(limit=RECENT))
        recent = [dump(ScanSchema, scan, ON_A_CARD) for scan in page.rows]
    catalog = resources().catalog
    default = catalog.default_name
    takes_pictures_alone = resources().settings.auth == "demo"
    return render_template(
        "portal/index.html",
        recent=recent,
        models=[("", f"{default} (default)"), *((name, name) for name in catalog.names() if name != default)],
        phantoms=PHANTOMS,
        accepts=ACCEPTS_PICTURES if takes_pictures_alone else ACCEPTS,
        formats_sentence=PICTURES_SENTENCE if takes_pictures_alone else FORMATS_SENTENCE,
        max_upload_mb=resources().settings.max_upload_bytes // 1_000_000,
        max_request_mb=current_app.config["MAX_CONTENT_LENGTH"] // 1_000_000,
        max_slices=resources().settings.max_slices,
        sequence_words=sequence_groups.WORDS,
    )

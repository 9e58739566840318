"""The plain way, to compare with: one synchronous Flask view, torch in single precision, matplotlib's panels.

Served by gunicorn's sync worker: `BENCH_CHECKPOINT=... gunicorn bench.plain:app`. It keeps no scan and no history;
its pictures lie in the folder that it was started in.
"""

import io
import os
import uuid
from pathlib import Path

import numpy as np
import torch
from flask import Flask, Response, jsonify, request
from PIL import Image

from bench.panels import save_panels
from ml.networks import UNET_VGG16, load_network, read_checkpoint

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
FOLDER = Path.cwd()

app = Flask(__name__)
network = load_network(UNET_VGG16, read_checkpoint(Path(os.environ["BENCH_CHECKPOINT"])).weights)


@app.get("/")
def ready() -> str:
    """The network is loaded."""
    return "ready"


@app.post("/predict")
def predict() -> Response:
    """Segment one picture, save its panels, answer with the finding."""
    image = Image.open(io.BytesIO(request.files["file"].read())).convert("RGB").resize((256, 256))
    pixels = np.asarray(image)
    inputs = ((pixels / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)[None]  # (1, 3, 256, 256)
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(inputs)))[0, 0].numpy()
    mask = probability >= 0.5
    path = FOLDER / f"{uuid.uuid4().hex}.png"
    save_panels(path, pixels, probability, mask)
    return jsonify(
        panels=path.name,
        verdict="tumor_detected" if mask.any() else "no_tumor",
        tumor_pixels=int(mask.sum()),
        coverage_percent=float(100 * mask.mean()),
        max_probability=float(probability.max()),
    )

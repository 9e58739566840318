"""The browser's zip of a folder is one that Python reads, byte for byte."""

import io
import zipfile

import numpy as np
import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PACK = """async (files) => {
  const { zip } = await import("/js/core/zip.js");
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const seen = [];
  const list = files.map(([path, data]) => ({ path, file: new File([bytes(data)], path) }));
  const blob = await zip(list, { onProgress: (fraction) => seen.push(fraction) });
  const data = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of data) text += String.fromCharCode(byte);
  return [btoa(text), seen];
}"""


def test_a_packed_folder_unpacks_to_the_same_files(module_page: Page) -> None:
    import base64

    random = np.random.default_rng(5)
    files = {
        "set/patient 1/a.png": random.bytes(5000),
        "set/Patientin Müller/scan_é.tif": random.bytes(70_001),
        "set/empty.png": b"",
    }
    encoded = [[path, base64.b64encode(data).decode()] for path, data in files.items()]
    packed, progress = module_page.evaluate(PACK, encoded)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
    assert progress == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1]


def test_more_files_than_a_zip_counts_are_refused(module_page: Page) -> None:
    said = module_page.evaluate(
        """async () => {
          const { zip } = await import("/js/core/zip.js");
          return zip({ length: 70000 }).catch((error) => error.message);
        }"""
    )
    assert "70000 files is too large" in said

"""What the first upload and the first result page would wait for, loaded beside the start of a web process."""

from collections.abc import Iterable

from flask import Flask
from jinja2 import Environment, meta

from webapp.context import EXTENSION
from webapp.domain.resources import Resources

# The pages of an upload; what they extend, include and import comes with them.
_PAGES = ("portal/index.html", "scans/result.html")


def warm_up(app: Flask) -> None:
    """The imports of the decode server, the broker's connection and Celery's publishing end, both pages' templates, the
    writers of pictures; a worker that is woken and finds no job has compiled how it claims one.
    """
    from webapp.domain.jobs.broker import INTERACTIVE  # Celery: the arbiter need not hold it

    resources: Resources = app.extensions[EXTENSION]
    resources.decoder.warm_up()
    if resources.queue.is_reachable():  # a message that it does not take keeps the next ones back
        resources.queue.publish(INTERACTIVE)
    compile_templates(app.jinja_env, _PAGES)
    _load_writers()


def compile_templates(environment: Environment, names: Iterable[str]) -> None:
    """Compile templates and all that they name, each once."""
    wanted, seen = list(names), set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen or environment.loader is None:
            continue
        seen.add(name)
        environment.get_template(name)
        source, _, _ = environment.loader.get_source(environment, name)
        wanted += [found for found in meta.find_referenced_templates(environment.parse(source)) if found]


def _load_writers() -> None:
    """Of PNG and JPEG: their libraries are loaded by the first picture."""
    from PIL import Image

    from ml.rendering.jpeg import encode_jpeg
    from ml.rendering.png import encode_png

    pixel = Image.new("RGB", (1, 1))
    encode_png(pixel)
    encode_jpeg(pixel)

"""Rendered images in memory: bounded, the least recently used dropped first, nothing left of a deleted scan."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from webapp.domain.scans.image_cache import ImageCache


class Renderer:
    """Counts what it renders: a hundred bytes a picture."""

    def __init__(self) -> None:
        self.rendered: list[str] = []

    def of(self, cache: ImageCache, key: str, size: int = 100) -> bytes:
        def render() -> bytes:
            self.rendered.append(key)
            return key.encode().ljust(size)

        return cache.get(key, render)


@pytest.fixture
def renderer() -> Renderer:
    return Renderer()


def test_an_image_is_rendered_once_and_the_least_recently_used_is_dropped(renderer: Renderer) -> None:
    cache = ImageCache(300)
    for key in ("a", "b", "c", "a", "d", "a"):
        assert renderer.of(cache, key) == key.encode().ljust(100)
    assert renderer.rendered == ["a", "b", "c", "d"]
    renderer.of(cache, "b")
    assert renderer.rendered == ["a", "b", "c", "d", "b"]


def test_an_image_larger_than_the_cache_is_shown_but_not_kept(renderer: Renderer) -> None:
    cache = ImageCache(300)
    renderer.of(cache, "small")
    assert len(renderer.of(cache, "large", 301)) == 301
    renderer.of(cache, "small")
    renderer.of(cache, "large", 301)
    assert renderer.rendered == ["small", "large", "large"]


def test_nothing_of_a_deleted_scan_stays_and_its_room_is_free(renderer: Renderer) -> None:
    cache = ImageCache(300)
    for key in ("one/mask", "one/scan", "two/mask"):
        renderer.of(cache, key)
    cache.delete("one/")
    for key in ("three/mask", "three/scan", "two/mask", "one/mask"):
        renderer.of(cache, key)
    assert renderer.rendered == ["one/mask", "one/scan", "two/mask", "three/mask", "three/scan", "one/mask"]


def test_nothing_is_kept_of_what_was_made_while_its_scan_was_deleted(renderer: Renderer) -> None:
    cache = ImageCache(300)

    def deleted_meanwhile() -> bytes:
        cache.delete("one")
        return b"mask"

    assert cache.get("one/mask", deleted_meanwhile) == b"mask"
    assert cache.find("one/mask") is None
    with cache.making("one.export") as keep, cache.making("two.export") as keep_other:
        cache.delete("one")
        keep(b"seg")
        keep_other(b"seg")
    assert (cache.find("one.export"), cache.find("two.export")) == (None, b"seg")


def test_what_is_made_after_a_failure_is_kept(renderer: Renderer) -> None:
    cache = ImageCache(300)
    with pytest.raises(ZeroDivisionError), cache.making("one"):
        raise ZeroDivisionError
    cache.delete("one")
    assert renderer.of(cache, "one") == cache.find("one")


def test_threads_that_read_render_and_delete_at_once_get_their_own_images() -> None:
    cache = ImageCache(1000)

    def work(number: int) -> None:
        for step in range(300):
            key = f"{(number + step) % 20}/mask"
            assert cache.get(key, lambda key=key: key.encode().ljust(100)) == key.encode().ljust(100)
            if step % 7 == 0:
                cache.delete(f"{step % 20}/")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

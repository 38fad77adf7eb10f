"""The finer pixels of a large image, sent to the page tile by tile, when it asks."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from typing import Any, TypeAlias

from segwidget.errors import ImageError
from segwidget.media.pyramid import Tile, cut_tile, encode_tile
from segwidget.widget import threads
from segwidget.widget.binding import SessionWidget, Start

#: Encoded tiles that are kept, in bytes.
CACHE_BYTES = 64_000_000
#: Tiles that may wait; a page asks for a few at a time.
MAX_WAITING = 64

Place: TypeAlias = tuple[int, int, int]  # level, column, row

_log = logging.getLogger(__name__)


class TilesWidget(SessionWidget):
    """A widget that shows a large image as sharply as it is.

    Args:
        start: see :class:`Start`.
    """

    def __init__(self, start: Start) -> None:
        self._tiles = TileCache()
        self._tiles_wanted: deque[Place] = deque()
        self._tiles_lock = threading.Lock()  # of what is wanted, and of who makes it
        self._tiles_thread: threading.Thread | None = None
        super().__init__(start)

    def send_tile(self, level: int, column: int, row: int) -> None:
        """Send the page one tile of the image, soon; for one that is not there an ``error``.

        Args:
            level: 0 the image itself, each further one half as large.
            column: of the tile, 0 the leftmost.
            row: likewise.
        """
        place = level, column, row
        with self._tiles_lock:
            if place in self._tiles_wanted:
                return  # two views ask for the same, and both will hear the answer
            if len(self._tiles_wanted) < MAX_WAITING:
                self._tiles_wanted.append(place)
                if self._tiles_thread is None:
                    self._tiles_thread = threads.begin(self._make_tiles, "segwidget-tiles")
                return
        self._deliver(place, None, "Too many tiles are waiting. Ask again.")

    def _make_tiles(self) -> None:
        """Make what is wanted, in order; the thread ends when nothing is."""
        while True:
            with self._tiles_lock:
                if self._closed or not self._tiles_wanted:
                    self._tiles_wanted.clear()
                    self._tiles_thread = None
                    return
                place = self._tiles_wanted.popleft()
            tile, error = None, ""
            try:
                tile = self._tiles.get(place)
                if tile is None:
                    tile = encode_tile(cut_tile(self.image.pixels, *place))
                    self._tiles.put(place, tile)
            except ImageError as e:
                error = str(e)
            except Exception as e:  # the preview stays
                _log.warning("A tile could not be made.", exc_info=True)
                error = f"{type(e).__name__}: {e}"[:300]
            try:
                self._deliver(place, tile, error)
            except Exception:
                _log.warning("A tile could not be sent.", exc_info=True)

    def _deliver(self, place: Place, tile: Tile | None, error: str = "") -> None:
        level, column, row = place
        content: dict[str, Any] = {"op": "tile", "level": level, "column": column, "row": row}
        if tile is None:
            self.send({**content, "mime": "", "error": error})
        else:
            self.send({**content, "mime": tile.mime}, buffers=[tile.data])

    def close(self) -> None:
        """End the widget."""
        if "_tiles" in self.__dict__:  # one that could not be made has none
            self._tiles.clear()
        super().close()


class TileCache:
    """Encoded tiles, those that were used last; used from one thread at a time.

    Args:
        most: bytes that they may have together.
    """

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most = most
        self._tiles: OrderedDict[Place, Tile] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._tiles)

    def get(self, place: Place) -> Tile | None:
        """The tile, if it is here."""
        tile = self._tiles.get(place)
        if tile is not None:
            self._tiles.move_to_end(place)
        return tile

    def put(self, place: Place, tile: Tile) -> None:
        """Keep a tile, in place of those that were not used for longest."""
        old = self._tiles.pop(place, None)
        self.nbytes += len(tile.data) - (0 if old is None else len(old.data))
        self._tiles[place] = tile
        while self.nbytes > self._most and len(self._tiles) > 1:
            _, gone = self._tiles.popitem(last=False)
            self.nbytes -= len(gone.data)

    def clear(self) -> None:
        """Forget all of them."""
        self._tiles = OrderedDict()
        self.nbytes = 0

"""The models that a widget can change to, and the download of one that is not here yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from segwidget.errors import ModelError
from segwidget.inference.registry import MODELS, ModelRow, is_cached
from segwidget.widget.answerer import Answerer, status
from segwidget.widget.binding import SessionWidget, Start
from segwidget.widget.fetch import Fetch
from segwidget.widget.model_entries import ModelTrait, entry_of, entry_of_own, name_of


class ModelWidget(SessionWidget):
    """A widget that can change its model without losing anything of the work.

    The present model answers until the new one is loaded and has seen the image; then the draft is
    asked anew. Where loading fails, the present one just goes on.

    Args:
        start: see :class:`Start`.
    """

    model = ModelTrait(
        help="The present model, a name or a path. Setting it loads the model before the next line."
    ).tag(sync=True, echo_update=False, to_json=lambda value, _widget: name_of(value))

    models = traitlets.List(
        traitlets.Dict(), read_only=True, help="What there is to choose from, as the menu shows it."
    ).tag(sync=True)

    download = traitlets.Dict(
        read_only=True, help="How far the present or last download is, and of which model."
    ).tag(sync=True)

    def __init__(self, start: Start) -> None:
        self._model: str | Path = ModelTrait().validate(None, start.model)  # which answers now
        self._computing = start.computing
        self._changing: Answerer | None = None  # is being loaded, to take over
        self._fetch: Fetch | None = None
        self._wanted = ""  # the name of the model that is used as soon as it has been fetched
        self._own: dict[str, str | Path] = {}  # models outside the registry, by name
        self._present_status: Mapping[str, Any] = {}  # whatever else is being loaded
        self.set_trait("model", self._model)
        self.set_trait("download", progress("", 0, 0, "idle"))
        self._list_models()
        super().__init__(start._replace(model=self._model))
        self._present_status = dict(self.status)

    # What a page and Python ask.

    def use_model(self, name: str) -> None:
        """Change to a model of the menu as soon as it is loaded, without waiting for that.

        Asked for the present one, it gives up whatever was to take its place.

        Raises:
            ModelError: the menu has no such model, or its file is not on this computer.
        """
        with self._lock:
            self._require_open()
            self._wanted = ""
            try:
                self._change_soon(self._choice(name))
            finally:
                self._list_models()

    def download_model(self, name: str) -> None:
        """Fetch a model's weights on a thread, and use it when they are here.

        Clicks are answered meanwhile. How far it is stands in ``download``; what goes wrong becomes
        a notice, and what has arrived is gone on with the next time.

        Raises:
            ModelError: there is no such model, or another one is being fetched.
        """
        with self._lock:
            self._require_open()
            model = self._choice(name)
            row = MODELS.get(name)
            if row is None or is_cached(row):
                self.use_model(name)
                return
            if self._fetch is not None and self._fetch.row is not row:
                raise ModelError(
                    f"{self._fetch.row.title} is being downloaded. Wait for it, or cancel that, "
                    f"before you download {row.title}."
                )
            self._wanted = str(model)
            if self._fetch is None:
                self._begin(row)

    def cancel_download(self) -> None:
        """Stop the download, if there is one; what has arrived is kept."""
        with self._lock:
            if self._fetch is None:
                return
            self._fetch.cancel()
            self._fetch, self._wanted = None, ""
            self._assign("download", {**self.download, "state": "idle", "message": ""})

    # Changing the model.

    @traitlets.observe("model")
    def _on_model(self, change: Any) -> None:
        """Python has set the model: load it, and answer the draft by it, before the next line."""
        if change["new"] == self._model:
            return
        try:
            with self._lock:
                self._require_open()
                self._change_now(change["new"])
        finally:
            self.set_trait("model", self._model)  # the old one, where that has failed

    def _change_now(self, model: str | Path) -> None:
        self._wanted = ""
        new, draft, answer = self._loading(model, self._stay), self._session.draft, None
        try:
            if draft.prompts:
                answer = new.answer(draft)
            else:
                new.load()
        except BaseException:  # also an interrupt: loading takes long
            self._give_up(new)
            raise
        self._take_over(new, model)
        if answer is not None:
            self._publish(self._next_request(), answer)

    def _change_soon(self, model: str | Path) -> None:
        """Load a model on its thread; then it takes over, unless another was chosen meanwhile."""
        if model == self._model and self._present_status["state"] != "failed":
            self._give_up(self._changing)
            return

        def take_over(new: Answerer) -> None:
            self._take_over(new, model)
            if self._session.draft.prompts:
                self._ask(self._next_request())

        self._loading(model, take_over).start()

    def _loading(self, model: str | Path, when_ready: Callable[[Answerer], None]) -> Answerer:
        """An answerer that is about to be loaded, in place of any other that is."""

        def on_status(value: dict[str, Any]) -> None:
            with self._lock:
                if new is self._changing and value["state"] == "ready":
                    when_ready(new)
                elif new is self._answerer:
                    self._set_status(value)

        def on_error(error: Exception, request: str) -> None:
            with self._lock:
                if new is self._changing or new is self._answerer:
                    self._give_up(new)
                    self._report(error, request)

        new = Answerer(self.image, model, self._computing, on_status, on_error)
        self._give_up(self._changing)
        self._changing = new
        self._show_status()
        return new

    def _give_up(self, new: Answerer | None) -> None:
        """The present model stays."""
        if new is not None and new is self._changing:
            self._changing = None
            new.close()
            self._show_status()

    def _stay(self, _new: Answerer) -> None:
        """Python takes it over itself, as soon as it has also answered."""

    def _take_over(self, new: Answerer, model: str | Path) -> None:
        old, self._answerer, self._changing = self._answerer, new, None
        new.focus(self._session.region)
        self._model = model
        self._present_status = status("ready", new.model_name, "", new.device)
        old.close()
        with self.hold_sync():
            self._assign("model", model)
            self._list_models()
            self._show_status()

    def _set_status(self, value: dict[str, Any]) -> None:
        with self._lock:
            if value["model"] == self._answerer.model_name:  # and not a late word of the last one
                self._present_status = value
                self._show_status()

    def _show_status(self) -> None:
        value = dict(self._present_status)
        if self._changing is not None:
            value |= {"state": "loading", "message": f"Loading {self._changing.model_name} …"}
        self._assign("status", value)

    # The menu, and fetching what is in it.

    def _choice(self, name: str) -> str | Path:
        """What the menu calls so. A page names nothing else: no paths."""
        if name in MODELS:
            return name
        if name in self._own:
            return self._own[name]
        raise ModelError(
            f"There is no model {name[:40]!r} in the menu. Expected one of "
            f"{', '.join([*MODELS, *self._own])}."
        )

    def _list_models(self) -> None:
        """Look anew what is on this computer."""
        name = name_of(self._model)
        if self._model not in MODELS:
            self._own[name] = self._model
        own = [entry_of_own(name, model) for name, model in self._own.items()]
        self._assign("models", [*own, *map(entry_of, MODELS.values())])

    def _begin(self, row: ModelRow) -> None:
        def on_progress(done: int, total: int, message: str) -> None:
            with self._lock:
                if fetch is self._fetch:
                    self._assign("download", progress(row.name, done, total, "running", message))

        def on_end(error: Exception | None) -> None:
            with self._lock:
                if fetch is self._fetch:
                    self._end_download(row, error)

        fetch = self._fetch = Fetch(row, on_progress, on_end)
        self._assign("download", progress(row.name, 0, row.size, "running"))
        fetch.start()

    def _end_download(self, row: ModelRow, error: Exception | None) -> None:
        """Say how a download has ended, when what follows from it has begun."""
        self._fetch = None
        wanted, self._wanted = self._wanted == row.name, ""
        self._list_models()
        if error is not None:
            self._report(error)
            self._assign("download", {**self.download, "state": "failed", "message": ""})
            return
        if wanted:
            try:
                self._change_soon(row.name)
            except ModelError as e:
                self._report(e)
        self._assign("download", progress(row.name, row.size, row.size, "done"))

    # Waiting and closing.

    def _wait_for_answers(self, timeout: float | None) -> bool:
        """Wait until no model is being loaded, and the newest prompts are answered."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                pending = self._changing or self._answerer
            left = None if end is None else max(0.0, end - time.monotonic())
            if not pending.wait(left):
                return False
            with self._lock:
                if self._changing is None and self._answerer is pending:
                    return True

    def _end_models(self) -> None:
        """Load and fetch no more; what has arrived of a file is kept."""
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None
        if self._changing is not None:
            self._changing.close()
            self._changing = None


def progress(name: str, done: int, total: int, state: str, message: str = "") -> dict[str, Any]:
    """The value of the ``download`` trait.

    Args:
        name: of the model; empty where nothing was ever fetched.
        done: bytes that are here.
        total: bytes in all.
        state: ``"idle"`` (also after it was cancelled), ``"running"``, ``"failed"`` or ``"done"``.
        message: what is being waited for.
    """
    return {"name": name, "done": done, "total": total, "state": state, "message": message}

"""A Segmenter whose front end a page loads once, however many of them come one after the other."""

from __future__ import annotations

import traitlets

from segwidget.widget.segmenter import Segmenter

# A page never lets go of a module, and each widget brings its own. So this small one, of which a
# page may hold thousands, finds the large one again where it is loaded already.
ESM = """
const programs = (globalThis.segwidgetPrograms ??= new Map());
function load(code) {
  if (!programs.has(code)) {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    programs.set(code, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return programs.get(code);
}
export default {
  async render(context) {
    const program = await load(context.model.get("_program"));
    return program.default.render(context);
  },
};
"""


class SharedSegmenter(Segmenter):
    """A :class:`Segmenter` for an app that shows many."""

    _program = traitlets.Unicode().tag(sync=True)

    @traitlets.default("_program")
    def _read_program(self) -> str:
        return super()._read_esm()

    @traitlets.default("_esm")
    def _read_esm(self) -> str:
        return ESM

// What the mouse pointer looks like on the stage.
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";

export type Cursor = "default" | "pointer" | "crosshair" | "grabbing" | "none";

export function cursorOf(view: ViewState, store: Store): Cursor {
  if (view.panning.value) return "grabbing";
  const tool = view.tools.tool.value;
  const inside = view.pointer.value !== null;
  if (tool === "select") return view.hoveredAnnotation.value !== null ? "pointer" : "default";
  if (tool === "brush" || tool === "eraser") {
    // The brush draws its own, as large as it is.
    if (view.selected.value !== null) return inside ? "none" : "default";
    return store.annotations.value.length > 0 && view.hoveredAnnotation.value !== null
      ? "pointer"
      : "default";
  }
  if (view.hoveredPrompt.value !== null || view.proposals.hovered.value !== null) return "pointer";
  return inside || view.rubberBand.value ? "crosshair" : "default";
}

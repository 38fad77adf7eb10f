// What every component may use: the store, this view's state, the verbs, and the decoded pictures.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Preview } from "../canvas/preview";
import type { MaskShapes } from "../canvas/shapes";
import type { Actions } from "../state/actions";
import type { HoverPreview } from "../state/hover";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";

export interface Widget {
  readonly root: HTMLElement;
  readonly store: Store;
  readonly view: ViewState;
  readonly actions: Actions;
  readonly preview: Preview;
  readonly hover: HoverPreview;
  readonly shapes: MaskShapes;
  readonly proposalShapes: MaskShapes;
  /** Gives the keys back to the stage, so that they do not fall through to the notebook. */
  focusStage(): void;
}

export const WidgetContext = createContext<Widget | null>(null);

export function useWidget(): Widget {
  const widget = useContext(WidgetContext);
  if (!widget) throw new Error("This component must be inside a WidgetContext.");
  return widget;
}

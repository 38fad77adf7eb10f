// The anywidget entry point: each view of a model is one mounted front end.
import { hostOf, type SegmenterModel } from "./host/anywidget";
import { mountSegmenter } from "./mount";

interface RenderContext {
  model: SegmenterModel;
  el: HTMLElement;
}

export default {
  render({ model, el }: RenderContext): () => void {
    return mountSegmenter(hostOf(model), el);
  },
};

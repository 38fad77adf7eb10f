// The anywidget entry point: each view of a model is one mounted front end.
import { hostOf, type SegmenterModel } from "./host/anywidget";
import { watchConnection } from "./host/connection";
import { hideStill } from "./host/still";
import { mountSegmenter } from "./mount";

interface RenderContext {
  model: SegmenterModel;
  el: HTMLElement;
}

export default {
  render({ model, el }: RenderContext): () => void {
    const { connected, stop } = watchConnection(el);
    const close = mountSegmenter(hostOf(model, connected), el);
    const showStill = hideStill(el);
    return () => {
      showStill();
      stop();
      close();
    };
  },
};

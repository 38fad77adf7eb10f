// The entry point of a file that `Segmenter.to_html` has written: everything is inside, nothing is fetched.
import { bytesOf } from "./codecs/bytes";
import { createEngine } from "./decode/engine";
import { Standalone } from "./host/standalone";
import type { ImageTrait, Traits } from "./host/traits";
import { mountSegmenter } from "./mount";
import { createStore } from "./state/store";

/** The text of a data block of the page, which is let go of: some have megabytes. */
function taken(id: string): string {
  const block = document.getElementById(id);
  const text = block?.textContent ?? "";
  block?.remove();
  return text;
}

const traits = JSON.parse(taken("segwidget-traits")) as Partial<Traits>;
const image = traits.image as ImageTrait;
const host = new Standalone(
  { ...traits, image: { ...image, data: bytesOf(taken("segwidget-image")) } },
  async (key) => bytesOf(taken(`segwidget-part-${key}`)).buffer,
);
const store = createStore(host);
const engine = createEngine(store, host);
host.answerWith(engine);
mountSegmenter(host, document.getElementById("segwidget")!, engine);

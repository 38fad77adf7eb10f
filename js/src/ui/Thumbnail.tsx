// A candidate as a small picture: its mask in color over the dimmed surroundings.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { rgba } from "../canvas/color";
import { candidateShape } from "../canvas/shapes";
import type { CandidatesTrait } from "../host/traits";
import { useWidget } from "./context";

/** Backing pixels; shown at half the size or less. */
const WIDTH = 272;
const HEIGHT = 204;
const MARGIN = 0.14;
const LEAST_CROP = 32;
/** A candidate far smaller than its siblings gets a closer look, this many times its own size. */
const CLOSEST = 2.6;

export interface Crop {
  x: number;
  y: number;
  width: number;
  height: number;
}

function shifted(middle: number, extent: number, limit: number): number {
  const start = middle - extent / 2;
  return extent >= limit ? (limit - extent) / 2 : Math.min(Math.max(start, 0), limit - extent);
}

/**
 * One crop for all candidates, so that whole, part and sub-part can be compared at a glance;
 * a closer one where a candidate would be lost in it.
 */
export function cropFor(
  candidates: CandidatesTrait,
  index: number,
  image: { width: number; height: number },
): Crop {
  const boxes = candidates.items.map((item) => item.box);
  const own = boxes[index] ?? [0, 0, image.width, image.height];
  const x0 = Math.min(...boxes.map((b) => b[0]));
  const y0 = Math.min(...boxes.map((b) => b[1]));
  const x1 = Math.max(...boxes.map((b) => b[2]));
  const y1 = Math.max(...boxes.map((b) => b[3]));
  const wide = Math.max((x1 - x0) * (1 + 2 * MARGIN), LEAST_CROP);
  const high = Math.max((y1 - y0) * (1 + 2 * MARGIN), LEAST_CROP);
  const together = Math.max(wide / WIDTH, high / HEIGHT);
  const alone = Math.max((own[2] - own[0]) / WIDTH, (own[3] - own[1]) / HEIGHT) * CLOSEST;
  const close = alone > 0 && alone < together;
  const scale = close ? Math.max(alone, LEAST_CROP / WIDTH) : together;
  const [ax, ay, bx, by] = close ? own : [x0, y0, x1, y1];
  const width = WIDTH * scale;
  const height = HEIGHT * scale;
  return {
    x: shifted((ax + bx) / 2, width, image.width),
    y: shifted((ay + by) / 2, height, image.height),
    width,
    height,
  };
}

export function Thumbnail(props: {
  candidates: CandidatesTrait;
  index: number;
  threshold?: number;
}): JSX.Element {
  const { candidates, index, threshold = 0 } = props;
  const { store, preview } = useWidget();
  const canvas = useRef<HTMLCanvasElement>(null);
  const image = store.image.value;
  const bitmap = preview.bitmap.value;
  const color = store.currentLabel.value.color;

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !image) return;
    const shape = candidateShape(candidates, index, image, threshold);
    const crop = cropFor(candidates, index, image);
    const k = WIDTH / crop.width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    context.setTransform(k, 0, 0, k, -crop.x * k, -crop.y * k);
    context.imageSmoothingQuality = "high";
    if (bitmap) {
      context.drawImage(bitmap, 0, 0, image.width, image.height);
      context.fillStyle = "rgba(12, 14, 18, 0.62)";
      context.fillRect(0, 0, image.width, image.height);
    }
    if (!shape) return;
    context.save();
    context.clip(shape.path, "evenodd");
    if (bitmap) context.drawImage(bitmap, 0, 0, image.width, image.height);
    context.fillStyle = rgba(color, 0.5);
    context.fillRect(0, 0, image.width, image.height);
    context.restore();
    context.lineJoin = "round";
    context.lineWidth = 2.5 / k;
    context.strokeStyle = "#ffffff";
    context.stroke(shape.path);
  }, [candidates, index, threshold, image, bitmap, color]);

  return <canvas ref={canvas} class="sw-thumb" width={WIDTH} height={HEIGHT} aria-hidden="true" />;
}

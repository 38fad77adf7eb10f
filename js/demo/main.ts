// The demo page: the front end with a kernel that lives in the page.
//   ?gray  ?region=100,80,700,520  ?look=outline  ?color_by=object  ?opacity=0.6  ?protect  ?keys={"keep":["q"]}
//   ?theme=dark  ?width=400  ?size=4000x3000  ?objects=1000  ?proposals=1000  ?delay=80  ?truth  ?state=empty|notice|info|loading|failed
import { encodeMask } from "../src/codecs/rle";
import { FakeKernel } from "../src/host/fake_kernel";
import { tellTruth } from "../src/host/fake_truth";
import type { AnnotationTrait, AppearanceTrait, BoxTuple } from "../src/host/traits";
import { mountSegmenter } from "../src/mount";
import { drawPicture } from "./picture";

const wish = new URLSearchParams(location.search);
const page = document.getElementById("widget")!;
document.body.classList.toggle("dark", wish.get("theme") === "dark");
page.style.maxWidth = `${wish.get("width") ?? 1160}px`;

const [width = 960, height = 640] = (wish.get("size") ?? "960x640").split("x").map(Number);
const drawn = (w: number, h: number): HTMLCanvasElement => {
  const canvas = drawPicture(w, h);
  if (wish.has("gray")) {
    const context = canvas.getContext("2d")!;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "saturation";
    context.fillStyle = "#808080";
    context.fillRect(0, 0, w, h);
  }
  return canvas;
};
const picture = drawn(width, height);
const shrink = Math.min(1, 1600 / Math.max(width, height));
const preview = drawn(Math.round(width * shrink), Math.round(height * shrink));
const blob = await new Promise<Blob | null>((done) => preview.toBlob(done, "image/jpeg", 0.92));

const kernel = new FakeKernel({
  pixels: { width, height, data: picture.getContext("2d")!.getImageData(0, 0, width, height).data },
  image: {
    name: "still_life.jpg", width, height, mime: "image/jpeg",
    preview_width: preview.width, preview_height: preview.height,
    data: await blob!.arrayBuffer(),
    tiles: shrink < 1 ? { size: 512, levels: Math.ceil(Math.log2(1 / shrink)) } : null,
  },
  labels: [
    { name: "fruit", color: "#e4572e" },
    { name: "vase", color: "#2e86de" },
    { name: "flower", color: "#c850c0" },
  ],
  delay: Number(wish.get("delay") ?? 40),
});

function manyObjects(count: number): AnnotationTrait[] {
  return Array.from({ length: count }, (_, i) => {
    const cx = ((i * 0.618034) % 1) * width;
    const cy = ((i * 0.754878) % 1) * height;
    const r = (0.008 + 0.012 * ((i * 0.3247) % 1)) * width;
    const mask = new Uint8Array(width * height);
    const box: AnnotationTrait["box"] = [
      Math.max(0, Math.floor(cx - r)), Math.max(0, Math.floor(cy - r)),
      Math.min(width, Math.ceil(cx + r)), Math.min(height, Math.ceil(cy + r)),
    ];
    let area = 0;
    for (let y = box[1]; y < box[3]; y++) {
      for (let x = box[0]; x < box[2]; x++) {
        const wave = 1 + 0.2 * Math.sin(5 * Math.atan2(y - cy, x - cx));
        if (Math.hypot(x - cx, y - cy) < r * wave * 0.85) area += mask[y * width + x] = 1;
      }
    }
    return {
      id: `many-${i}`, label: ["fruit", "vase", "flower"][i % 3]!, box, area, visible: true,
      rle: { size: [height, width], counts: encodeMask(mask, width, height) },
      predicted_iou: 0.6 + 0.38 * ((i * 0.411) % 1), stability_score: 0.9,
    };
  });
}

const objects = Number(wish.get("objects") ?? 0);
if (objects > 0) kernel.push({ annotations: manyObjects(objects) });
const proposals = Number(wish.get("proposals") ?? 0);
if (proposals > 0) {
  kernel.find(manyObjects(proposals).map((a) => ({ ...a, point: [a.box[0], a.box[1]] })));
}
const region = wish.get("region")?.split(",").map(Number) as BoxTuple | undefined;
kernel.push({
  region: region ?? null,
  protect: wish.has("protect"),
  keymap: JSON.parse(wish.get("keys") ?? "{}") as Record<string, string[]>,
  appearance: {
    opacity: Number(wish.get("opacity") ?? 0.3),
    show: (wish.get("look") ?? "both") as AppearanceTrait["show"],
    color_by: (wish.get("color_by") ?? "label") as AppearanceTrait["color_by"],
  },
});
if (wish.has("truth")) tellTruth(kernel, manyObjects(3)[1]!.rle);
const status = kernel.get("status");
switch (wish.get("state")) {
  case "empty":
    kernel.push({ image: null, status: { ...status, state: "loading", message: "Loading the model", progress: 0.4 } });
    break;
  case "loading":
    kernel.push({ status: { ...status, state: "embedding", message: "Reading the picture" } });
    break;
  case "failed":
    kernel.push({ status: { ...status, state: "failed", message: "The model could not be loaded" } });
    break;
  case "notice":
  case "info":
    kernel.push({
      notice: {
        id: "n1", level: wish.get("state") === "info" ? "info" : "error", code: "prompt_outside", request: "",
        message: "The point (1200, 40) lies outside the image of 960 × 640 pixels. Give x from 0 to 960 and y from 0 to 640.",
      },
    });
    break;
}

let close = mountSegmenter(kernel, page);
if (wish.has("twice")) {
  const second = document.createElement("div");
  second.style.marginTop = "24px";
  page.append(second);
  const closeFirst = close;
  const closeSecond = mountSegmenter(kernel, second);
  close = () => {
    closeFirst();
    closeSecond();
  };
}
addEventListener("pagehide", () => close());

// Where each token looks: its attention as a glow over the darkened picture.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { InsightTrait } from "../../host/traits";
import { useWidget } from "../context";
import { glowOf } from "./heat";
import { useBitmaps, useInsight } from "./insight";
import { Missing, NoDraft } from "./Missing";

const LONG_SIDE = 220;

function Tile(props: { insight: InsightTrait; place: number; bitmap: ImageBitmap | null }): JSX.Element {
  const { insight, place, bitmap } = props;
  const { store, preview } = useWidget();
  const canvas = useRef<HTMLCanvasElement>(null);
  const image = store.image.value;
  const picture = preview.bitmap.value;
  const [x0, y0, x1, y1] = insight.region;
  const scale = LONG_SIDE / Math.max(x1 - x0, y1 - y0, 1);
  const width = Math.max(1, Math.round((x1 - x0) * scale));
  const height = Math.max(1, Math.round((y1 - y0) * scale));

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !bitmap || !image) return;
    context.fillStyle = "#101216";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    if (picture) {
      const kx = picture.width / image.width;
      const ky = picture.height / image.height;
      context.filter = "grayscale(1) brightness(0.5)";
      context.drawImage(
        picture, x0 * kx, y0 * ky, (x1 - x0) * kx, (y1 - y0) * ky, 0, 0, width, height,
      );
      context.filter = "none";
    }
    const glow = glowOf(bitmap);
    if (glow) context.drawImage(glow, 0, 0, width, height);
  }, [bitmap, picture, image, insight]);

  const title = insight.pictures[place]!.title;
  return (
    <figure class="sw-tile">
      <canvas
        ref={canvas}
        class="sw-map"
        width={width}
        height={height}
        style={{ aspectRatio: `${width} / ${height}` }}
        role="img"
        aria-label={`Attention of the token ${title}`}
        data-testid="attention-map"
        data-painted={bitmap !== null}
      />
      <figcaption class="sw-tile-text">{title}</figcaption>
    </figure>
  );
}

export function AttentionView(): JSX.Element {
  const { store } = useWidget();
  const { insight, fresh } = useInsight("attention");
  const bitmaps = useBitmaps(insight);
  if (store.host.standalone) {
    return <Missing>Attention needs a kernel, and this page has none.</Missing>;
  }
  if (store.prompts.value.length === 0) return <NoDraft />;
  if (insight?.message && fresh) return <Missing>{insight.message}</Missing>;
  if (!insight || insight.pictures.length === 0) return <Missing>Asking the kernel…</Missing>;
  return (
    <div class={`sw-tiles ${fresh ? "" : "sw-stale"}`} data-columns="3" data-testid="attention" data-fresh={fresh}>
      {insight.pictures.map((_, place) => (
        <Tile key={place} insight={insight} place={place} bitmap={bitmaps?.[place] ?? null} />
      ))}
    </div>
  );
}

// The image embedding's first three principal components as an image.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useWidget } from "../context";
import { useBitmaps, useInsight } from "./insight";
import { Missing } from "./Missing";

/** Backing pixels for each cell of the embedding: cells stay visible as what they are. */
const CELL = 10;

export function EmbeddingView(): JSX.Element {
  const { store } = useWidget();
  const { insight, fresh } = useInsight("pca");
  const bitmap = useBitmaps(insight)?.[0] ?? null;
  const canvas = useRef<HTMLCanvasElement>(null);

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !bitmap) return;
    context.imageSmoothingEnabled = false;
    context.drawImage(bitmap, 0, 0, context.canvas.width, context.canvas.height);
  }, [bitmap]);

  // A page without a kernel may have brought it along: it does not depend on clicks.
  if (store.host.standalone && !insight) {
    return <Missing>The embedding’s picture needs a kernel, and this page has none.</Missing>;
  }
  if (insight?.message) return <Missing>{insight.message}</Missing>;
  if (!insight) return <Missing>Asking the kernel…</Missing>;
  const width = insight.width * CELL;
  const height = insight.height * CELL;
  return (
    <>
      <canvas
        ref={canvas}
        class={`sw-map ${fresh ? "" : "sw-stale"}`}
        width={width}
        height={height}
        style={{ aspectRatio: `${width} / ${height}` }}
        role="img"
        aria-label="The image embedding in three colors"
        data-testid="pca"
        data-painted={bitmap !== null}
      />
      <p class="sw-legend">
        <span>
          {insight.width} × {insight.height} patches
        </span>
      </p>
    </>
  );
}

// One candidate's logits as a picture, with the outline where they cross the threshold.
import type { JSX } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { gridOf } from "../../codecs/logits";
import { candidateShape } from "../../canvas/shapes";
import type { CandidatesTrait } from "../../host/traits";
import { useWidget } from "../context";
import { logitPicture } from "./heat";

/** Backing pixels along the longer side of a map that fills the drawer. */
const LARGE = 640;
const SMALL = 300;

interface LogitMapProps {
  candidates: CandidatesTrait;
  index: number;
  limit: number;
  threshold: number;
  small?: boolean;
  testid: string;
}

export function LogitMap(props: LogitMapProps): JSX.Element {
  const { candidates, index, limit, threshold, small, testid } = props;
  const { store } = useWidget();
  const canvas = useRef<HTMLCanvasElement>(null);
  const image = store.image.value;
  const [x0, y0, x1, y1] = candidates.region ?? [0, 0, image?.width ?? 1, image?.height ?? 1];
  const scale = (small ? SMALL : LARGE) / Math.max(x1 - x0, y1 - y0);
  const width = Math.max(1, Math.round((x1 - x0) * scale));
  const height = Math.max(1, Math.round((y1 - y0) * scale));

  // The colors stay while the threshold moves; only the outline is drawn anew.
  const picture = useMemo(() => {
    const grid = gridOf(candidates, index);
    return grid && logitPicture(grid, limit);
  }, [candidates, index, limit]);

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !picture || !image) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.imageSmoothingQuality = "high";
    const [sx, sy] = candidates.scale;
    context.drawImage(picture, 0, 0, (picture.width / sx) * scale, (picture.height / sy) * scale);
    const shape = candidateShape(candidates, index, image, threshold);
    if (!shape) return;
    context.setTransform(scale, 0, 0, scale, -x0 * scale, -y0 * scale);
    context.lineJoin = "round";
    context.lineWidth = (small ? 3 : 3.5) / scale;
    context.strokeStyle = "rgba(255, 255, 255, 0.85)";
    context.stroke(shape.path);
    context.lineWidth = (small ? 1.5 : 1.75) / scale;
    context.strokeStyle = "#14161a";
    context.stroke(shape.path);
  }, [picture, candidates, index, threshold, image, width, height]);

  return (
    <canvas
      ref={canvas}
      class="sw-map"
      width={width}
      height={height}
      style={{ aspectRatio: `${width} / ${height}` }}
      data-testid={testid}
      aria-hidden="true"
    />
  );
}

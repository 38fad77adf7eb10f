// The ground truth, where somebody has told it: the true IoU of what is picked, and how it grew.
import type { JSX } from "preact";
import type { TruthScoresTrait } from "../host/traits";
import { curveInWords, judged } from "../state/truth";
import { useWidget } from "./context";
import { formatScore } from "./format";

/** In the status line: beside what the model believes, what is true. */
export function TrueIou(): JSX.Element | null {
  const { store, view } = useWidget();
  const scores = store.truth_scores.value;
  if (!scores || store.prompts.value.length === 0) return null;
  const found = judged(store);
  const cut = view.threshold.value !== 0;
  return (
    <span
      class="sw-item sw-true-iou"
      data-testid="true-iou"
      data-iou={found ? found.iou.toFixed(4) : ""}
      data-tip={
        "How much the picked mask and the best matching mask of the ground truth overlap " +
        "(intersection over union, at the model's own threshold), and what the model predicts of it."
      }
    >
      {found && found.label === null ? (
        "no truth here"
      ) : (
        <>
          true IoU <b>{found ? formatScore(found.iou) : "–"}</b>
          {cut && " at threshold 0"}
          <span class="sw-wide"> · predicted {found ? formatScore(found.predicted) : "–"}</span>
        </>
      )}
    </span>
  );
}

const WIDTH = 300;
const HEIGHT = 104;
const PLOT = { left: 28, right: 292, top: 8, bottom: 78 };
/** The first and the last point stand clear of the frame. */
const INSET = 10;
/** The axis of prompts is at least so long, so that it does not jump from the first click on. */
const LEAST_PROMPTS = 5;
const MOST_TICKS = 10;

type Curve = TruthScoresTrait["curve"];

/** From the first to the last prompt on the axis. */
export function promptRange(curve: Curve): [number, number] {
  const first = curve[0]?.[0] ?? 1;
  return [first, Math.max(curve[curve.length - 1]?.[0] ?? 1, first + LEAST_PROMPTS - 1)];
}

function Plot({ curve }: { curve: Curve }): JSX.Element {
  const [from, to] = promptRange(curve);
  const x = (count: number): number =>
    PLOT.left + INSET + ((count - from) / (to - from)) * (PLOT.right - PLOT.left - 2 * INSET);
  const y = (iou: number): number =>
    PLOT.bottom - Math.min(Math.max(iou, 0), 1) * (PLOT.bottom - PLOT.top);
  const line = (which: 1 | 2): string =>
    curve.map((point) => `${x(point[0]).toFixed(1)},${y(point[which]).toFixed(1)}`).join(" ");
  const step = Math.ceil((to - from + 1) / MOST_TICKS);
  const ticks: number[] = [];
  for (let at = from; at <= to; at += step) ticks.push(at);
  return (
    <svg
      class="sw-curve"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={curveInWords(curve)}
      data-testid="truth-curve"
    >
      <g class="sw-axes">
        {[0, 0.5, 1].map((iou) => (
          <g key={iou}>
            <line x1={PLOT.left} x2={PLOT.right} y1={y(iou)} y2={y(iou)} />
            <text x={PLOT.left - 6} y={y(iou) + 3.5} text-anchor="end">{iou}</text>
          </g>
        ))}
        {ticks.map((count) => (
          <text key={count} x={x(count)} y={PLOT.bottom + 13} text-anchor="middle">{count}</text>
        ))}
        <text class="sw-axis-name" x={(PLOT.left + PLOT.right) / 2} y={HEIGHT - 2} text-anchor="middle">
          prompts
        </text>
      </g>
      <g class="sw-curve-predicted">
        <polyline points={line(2)} />
        {curve.map((point) => (
          <rect key={point[0]} x={x(point[0]) - 3} y={y(point[2]) - 3} width={6} height={6} />
        ))}
      </g>
      <g class="sw-curve-true">
        <polyline points={line(1)} />
        {curve.map((point) => (
          <circle key={point[0]} data-testid="truth-point" cx={x(point[0])} cy={y(point[1])} r={3.5} />
        ))}
      </g>
    </svg>
  );
}

/** In the tray: the draft's curve, and whether the truth's outline is shown. */
export function Truth(): JSX.Element | null {
  const { store, view } = useWidget();
  const scores = store.truth_scores.value;
  if (!scores) return null;
  const drafted = store.prompts.value.length > 0;
  const { masks, curve } = scores;
  const shows = view.truthOutline.value;
  return (
    <section class="sw-truth" aria-label="Truth" data-testid="truth">
      {drafted && curve.length > 0 ? (
        <>
          <Plot curve={curve} />
          <p class="sw-legend">
            <span><i class="sw-key-true" /> true IoU</span>
            <span><i class="sw-key-predicted" /> predicted IoU</span>
          </p>
        </>
      ) : (
        <p class="sw-truth-note">
          The truth of {masks} {masks === 1 ? "mask" : "masks"} is known: after each click the true
          IoU shows here.
        </p>
      )}
      <button
        type="button"
        role="switch"
        class="sw-button sw-switch"
        aria-checked={shows}
        data-testid="truth-outline"
        data-tip="The outline of the mask that the draft is compared with"
        data-lm-suppress-shortcuts="true"
        onClick={() => (view.truthOutline.value = !shows)}
      >
        <span>Show truth outline</span>
        <i aria-hidden="true" />
      </button>
    </section>
  );
}

// Predicted IoU against stability: the draft's candidates, and faintly what was kept.
import type { JSX } from "preact";
import { safeColor } from "../../canvas/color";
import { SINGLE_TOKEN } from "../Card";
import { useWidget } from "../context";
import { formatScore } from "../format";
import { NoDraft } from "./Missing";

const WIDTH = 300;
const HEIGHT = 172;
const PLOT = { left: 44, right: 288, top: 8, bottom: 142 };
/** More would only be a cloud. */
const MOST_KEPT = 400;

/** The axes begin at a round number below all scores, and end at 1. */
export function axisStart(scores: readonly number[]): number {
  const least = Math.min(0.9, ...scores.filter(Number.isFinite));
  return Math.max(0, Math.floor(10 * least - 0.2) / 10);
}

const along = (score: number, start: number, from: number, to: number): number =>
  from + ((Math.min(Math.max(score, start), 1) - start) / (1 - start)) * (to - from);

function Axes({ start }: { start: number }): JSX.Element {
  const step = start < 0.5 ? 0.25 : 0.1;
  const ticks: number[] = [];
  for (let at = Math.ceil(start / step - 1e-9) * step; at <= 1.001; at += step) ticks.push(at);
  return (
    <g class="sw-axes">
      {ticks.map((tick) => {
        const x = along(tick, start, PLOT.left, PLOT.right);
        const y = along(tick, start, PLOT.bottom, PLOT.top);
        const word = step === 0.25 ? tick.toFixed(2) : tick.toFixed(1);
        return (
          <g key={tick}>
            <line x1={x} x2={x} y1={PLOT.top} y2={PLOT.bottom} />
            <line x1={PLOT.left} x2={PLOT.right} y1={y} y2={y} />
            <text x={x} y={PLOT.bottom + 13} text-anchor="middle">{word}</text>
            <text x={PLOT.left - 6} y={y + 3.5} text-anchor="end">{word}</text>
          </g>
        );
      })}
      <text class="sw-axis-name" x={(PLOT.left + PLOT.right) / 2} y={HEIGHT - 3} text-anchor="middle">
        predicted IoU
      </text>
      <text
        class="sw-axis-name"
        transform={`translate(9 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)`}
        text-anchor="middle"
      >
        stability
      </text>
    </g>
  );
}

export function ScoresView(): JSX.Element {
  const { store } = useWidget();
  const shown = store.shown.value;
  const kept = store.annotations.value.slice(-MOST_KEPT);
  if (!shown && kept.length === 0) return <NoDraft />;
  const items = shown?.items ?? [];
  const picked = Math.min(store.picked.value, items.length - 1);
  const start = axisStart([...items, ...kept].flatMap((m) => [m.predicted_iou, m.stability_score]));
  const place = (m: { predicted_iou: number; stability_score: number }): [number, number] => [
    along(m.predicted_iou, start, PLOT.left, PLOT.right),
    along(m.stability_score, start, PLOT.bottom, PLOT.top),
  ];
  const color = safeColor(store.currentLabel.value.color);
  // The picked one last, so that it lies on top.
  const order = items.map((_, index) => index).sort((a, b) => +(a === picked) - +(b === picked));
  const chosen = items[picked];
  return (
    <>
      <svg
        class="sw-scatter"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={
          chosen
            ? `${items.length} candidates; the picked one has predicted IoU ` +
              `${formatScore(chosen.predicted_iou)} and stability ${formatScore(chosen.stability_score)}`
            : `${kept.length} kept masks by predicted IoU and stability`
        }
        data-testid="scatter"
      >
        <Axes start={start} />
        {kept.map((annotation) => {
          const [x, y] = place(annotation);
          return <circle key={annotation.id} class="sw-dot-kept" cx={x} cy={y} r={3} />;
        })}
        {order.map((index) => {
          const [x, y] = place(items[index]!);
          const single = shown!.tokens?.[index] === SINGLE_TOKEN;
          return (
            <g
              key={index}
              class="sw-dot"
              data-testid="scatter-dot"
              data-picked={index === picked ? "true" : undefined}
              transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}
              style={{ color }}
            >
              {index === picked && <circle class="sw-dot-ring" r={11} />}
              {single ? <rect x={-7} y={-7} width={14} height={14} rx={2.5} /> : <circle r={7.5} />}
              <text y={3.6} text-anchor="middle">{index + 1}</text>
            </g>
          );
        })}
      </svg>
      <p class="sw-legend">
        {items.length > 0 && (
          <span><i class="sw-key-round" style={{ background: color }} /> candidates</span>
        )}
        {shown?.tokens?.includes(SINGLE_TOKEN) && (
          <span><i class="sw-key-square" style={{ background: color }} /> single mask</span>
        )}
        {kept.length > 0 && <span><i class="sw-key-kept" /> kept</span>}
      </p>
    </>
  );
}

// A slider over sizes: each step is a share of the size, so that small ones are set as easily as large ones.
import type { JSX } from "preact";
import { roundSize, type Sizes } from "../state/tool_state";

const STEPS = 60;

interface SliderProps {
  name: string;
  label: string;
  value: number;
  range: Sizes;
  testid: string;
  /** What the value is said as. */
  text: string;
  onInput(value: number): void;
}

export function SizeSlider({ name, label, value, range, testid, text, onInput }: SliderProps): JSX.Element {
  const { least, most } = range;
  const factor = Math.log(Math.max(most, least * 1.01) / least);
  const place = Math.round((STEPS * Math.log(Math.min(Math.max(value, least), most) / least)) / factor);
  return (
    <label class="sw-slider">
      <span>{name}</span>
      <input
        type="range"
        min={0}
        max={STEPS}
        step={1}
        value={place}
        aria-label={label}
        aria-valuetext={text}
        data-testid={testid}
        data-lm-suppress-shortcuts="true"
        onInput={(event) => {
          const share = Number(event.currentTarget.value) / STEPS;
          onInput(roundSize(least * Math.exp(factor * share)));
        }}
      />
      <output class="sw-number">{text}</output>
    </label>
  );
}

// The size of the tool in hand: the brush's, or the tolerance of an outline.
import type { JSX } from "preact";
import { useWidget } from "./context";
import { SizeSlider } from "./Slider";

export function ToolOptions(): JSX.Element | null {
  const { view } = useWidget();
  const { tool, tolerance, radius, toleranceRange, radiusRange } = view.tools;
  switch (tool.value) {
    case "polygon":
    case "lasso":
      return (
        <div class="sw-chip-float" data-tip="How far the mask may leave what you draw" data-keys="[ | ]">
          <SizeSlider
            name="Tolerance"
            label="Tolerance of the outline in pixels"
            value={tolerance.value}
            range={toleranceRange.value}
            testid="tolerance"
            text={`${tolerance.value} px`}
            onInput={(value) => (tolerance.value = value)}
          />
        </div>
      );
    case "brush":
    case "eraser":
      return (
        <div class="sw-chip-float" data-tip="Radius of the brush" data-keys="[ | ]">
          <SizeSlider
            name="Size"
            label="Radius of the brush in pixels"
            value={radius.value}
            range={radiusRange.value}
            testid="brush-size"
            text={`${radius.value} px`}
            onInput={(value) => (radius.value = value)}
          />
        </div>
      );
    default:
      return null;
  }
}

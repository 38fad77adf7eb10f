// What floats over the picture: the region, the tool's size, a hint, and the work on the selected mask.
import type { JSX } from "preact";
import { Button } from "./controls";
import { useWidget } from "./context";
import { CloseIcon, RegionIcon } from "./icons";
import { SelectionBar } from "./SelectionBar";
import { ToolOptions } from "./ToolOptions";

function RegionChip(): JSX.Element | null {
  const { store, actions, focusStage } = useWidget();
  const region = store.region.value;
  if (!region) return null;
  const [x0, y0, x1, y1] = region.map(Math.round) as [number, number, number, number];
  return (
    <div class="sw-chip-float" data-testid="region-chip">
      <RegionIcon />
      <span>
        Region {x1 - x0} × {y1 - y0} · Esc leaves
      </span>
      <Button
        label="Leave the region"
        keys="R"
        class="sw-small"
        testid="leave-region"
        onPress={() => {
          actions.edit.leaveRegion();
          focusStage();
        }}
      >
        <CloseIcon />
      </Button>
    </div>
  );
}

function Hint(): JSX.Element {
  const { view } = useWidget();
  const text = view.tools.hint.value;
  return (
    <div class={`sw-hint sw-told ${text ? "sw-shown" : ""}`} aria-hidden="true" data-testid="hint">
      {text}
    </div>
  );
}

export function StageOverlay(): JSX.Element {
  return (
    <>
      <div class="sw-over sw-over-top">
        <RegionChip />
        <ToolOptions />
      </div>
      <Hint />
      <div class="sw-over sw-over-bottom">
        <SelectionBar />
      </div>
    </>
  );
}

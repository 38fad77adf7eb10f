// The tools, side by side; the one in hand says its name.
import type { JSX } from "preact";
import { STANDALONE_TOOLS, TOOL_NAMES } from "../state/editing";
import type { ToolName } from "../state/tool_state";
import { Button } from "./controls";
import { useWidget } from "./context";
import {
  BoxesIcon, BoxIcon, BrushIcon, EraserIcon, LassoIcon, PointIcon, PolygonIcon, SelectIcon,
} from "./icons";
import { useKeys } from "./useKeys";

const TOOLS: readonly [ToolName, () => JSX.Element, string][] = [
  ["point", PointIcon, "Point: click to include, right click to exclude, drag for a box"],
  ["box", BoxIcon, "Box: drag, or click two corners"],
  ["boxes", BoxesIcon, "Boxes: each one is proposed a mask"],
  ["polygon", PolygonIcon, "Polygon: click around it roughly, the mask snaps"],
  ["lasso", LassoIcon, "Lasso: draw around it roughly, the mask snaps"],
  ["brush", BrushIcon, "Brush: paint on the selected mask"],
  ["eraser", EraserIcon, "Eraser: take from the selected mask"],
  ["select", SelectIcon, "Select kept masks"],
];

export function ToolButtons(): JSX.Element {
  const { store, view, actions, focusStage } = useWidget();
  const keys = useKeys();
  const tools = TOOLS.filter(([tool]) => !store.host.standalone || STANDALONE_TOOLS.includes(tool));
  return (
    <div class="sw-segments sw-tools" role="group" aria-label="Tools">
      {tools.map(([tool, Glyph, tip]) => {
        const chosen = view.tools.tool.value === tool;
        return (
          <Button
            key={tool}
            label={TOOL_NAMES[tool]}
            tip={tip}
            keys={keys(tool)}
            class="sw-segment sw-tool"
            pressed={chosen}
            testid={`tool-${tool}`}
            onPress={() => {
              actions.edit.use(tool);
              focusStage();
            }}
          >
            <Glyph />
            {chosen && <span class="sw-tool-name">{TOOL_NAMES[tool]}</span>}
          </Button>
        );
      })}
    </div>
  );
}

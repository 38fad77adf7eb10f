// All tools of one stage.
import type { ToolName } from "../../state/tool_state";
import { boxTool } from "./box";
import { brushTool } from "./brush";
import { lassoTool } from "./lasso";
import { pointTool } from "./point";
import { polygonTool } from "./polygon";
import { selectTool } from "./select";
import type { Bench, Tool } from "./tool";

export function createTools(bench: Bench): Record<ToolName, Tool> {
  return {
    point: pointTool(bench),
    box: boxTool(bench, false),
    boxes: boxTool(bench, true),
    polygon: polygonTool(bench),
    lasso: lassoTool(bench),
    brush: brushTool(bench, false),
    eraser: brushTool(bench, true),
    select: selectTool(bench),
  };
}

// The bar above the stage: what a click means, history, zoom, and the sheet of keys.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Mode } from "../state/view_state";
import { Button } from "./controls";
import { useWidget } from "./context";
import { EverythingButton } from "./EverythingButton";
import {
  ExcludeIcon, FitIcon, IncludeIcon, KeyboardIcon, RedoIcon, UndoIcon, ZoomInIcon, ZoomOutIcon,
} from "./icons";
import { LookButton } from "./LookPanel";
import { useRoving } from "./roving";
import { ToolButtons } from "./ToolButtons";
import { useKeys } from "./useKeys";

function ModeButton({ mode, keys, name }: { mode: Mode; keys: string; name: string }): JSX.Element {
  const { view, focusStage } = useWidget();
  const chosen = view.mode.value === mode;
  return (
    <Button
      label={name}
      tip={mode === "include" ? "Clicks include what they hit" : "Clicks exclude what they hit"}
      keys={keys}
      class={`sw-segment sw-${mode}`}
      pressed={chosen}
      testid={`mode-${mode}`}
      onPress={() => {
        view.mode.value = mode;
        focusStage();
      }}
    >
      {mode === "include" ? <IncludeIcon /> : <ExcludeIcon />}
      <span class="sw-segment-name">{name}</span>
    </Button>
  );
}

/** The others are the same key on another keyboard. */
const firstOf = (ways: string | undefined): string | undefined => ways?.split(" | ")[0];

export function Toolbar(): JSX.Element {
  const { store, view, actions } = useWidget();
  const { undo, redo } = store.history.value;
  const bar = useRef<HTMLDivElement>(null);
  const onKey = useRoving(bar);
  const keys = useKeys();
  const standalone = store.host.standalone === true;
  return (
    <div
      ref={bar}
      class="sw-toolbar"
      role="toolbar"
      aria-label="Segmentation tools"
      onKeyDown={onKey}
    >
      <ToolButtons />
      <span class="sw-break" />
      <div class="sw-segments sw-modes" role="group" aria-label="What a click does">
        <ModeButton mode="include" name="Include" keys="Click" />
        <ModeButton mode="exclude" name="Exclude" keys="Right click | Alt Click" />
      </div>
      <span class="sw-divider sw-wide-only" />
      {!standalone && <EverythingButton />}
      <span class="sw-divider" />
      <Button
        label={undo ? `Undo ${undo}` : "Nothing to undo"}
        keys={keys("undo")}
        testid="undo"
        disabled={!undo}
        onPress={actions.undo}
      >
        <UndoIcon />
      </Button>
      <Button
        label={redo ? `Redo ${redo}` : "Nothing to redo"}
        keys={keys("redo")}
        testid="redo"
        disabled={!redo}
        onPress={actions.redo}
      >
        <RedoIcon />
      </Button>
      <span class="sw-spring" />
      <Button label="Zoom out" keys={firstOf(keys("zoomOut"))} class="sw-zoomer" testid="zoom-out" onPress={actions.zoomOut}>
        <ZoomOutIcon />
      </Button>
      <span class="sw-zoom" data-testid="zoom">{view.zoomPercent.value}%</span>
      <Button label="Zoom in" keys={firstOf(keys("zoomIn"))} class="sw-zoomer" testid="zoom-in" onPress={actions.zoomIn}>
        <ZoomInIcon />
      </Button>
      <Button label="Fit the whole picture" keys={firstOf(keys("fit"))} testid="zoom-fit" onPress={actions.fit}>
        <FitIcon />
      </Button>
      <span class="sw-divider" />
      {!standalone && <LookButton />}
      <Button
        label="Keys"
        keys={keys("help")}
        testid="keys"
        pressed={view.keysOpen.value}
        onPress={() => (view.keysOpen.value = !view.keysOpen.value)}
      >
        <KeyboardIcon />
      </Button>
    </div>
  );
}

// What can be done with the selected mask, in a bar at the lower edge of the stage.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { safeColor } from "../canvas/color";
import type { AnnotationTrait } from "../host/traits";
import type { Combination, Place } from "../state/editing";
import { Button, Swatch } from "./controls";
import { useWidget } from "./context";
import {
  AddShapeIcon, BackIcon, BackwardIcon, CloseIcon, ForwardIcon, FrontIcon, IntersectIcon, StartIcon,
  SubtractShapeIcon, TidyIcon, TrashIcon,
} from "./icons";
import { Relabel } from "./Relabel";
import { SizeSlider } from "./Slider";
import { useRoving } from "./roving";
import { useKeys } from "./useKeys";

const PLACES: readonly [Place, string, () => JSX.Element][] = [
  ["front", "Bring to front", FrontIcon],
  ["forward", "Bring forward", ForwardIcon],
  ["backward", "Send backward", BackwardIcon],
  ["back", "Send to back", BackIcon],
];
const COMBINATIONS: readonly [Combination, string, string, () => JSX.Element][] = [
  ["add", "Add", "Add the draft to the selected mask", AddShapeIcon],
  ["subtract", "Subtract", "Take the draft off the selected mask", SubtractShapeIcon],
  ["intersect", "Intersect", "Keep of the selected mask what the draft covers", IntersectIcon],
];
const TIDY_SIZES = { least: 1, most: 20_000 };

/** Holes and islands of up to so many pixels go; the slider says how large they may be. */
function Tidy({ onClose }: { onClose: () => void }): JSX.Element {
  const { actions, focusStage } = useWidget();
  const size = useSignal(100);
  const close = (): void => {
    onClose();
    focusStage();
  };
  return (
    <div
      class="sw-pop sw-tidy"
      role="dialog"
      aria-label="Fill holes and drop islands"
      data-testid="tidy-panel"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        close();
      }}
    >
      <SizeSlider
        name="Up to"
        label="Largest hole to fill and island to drop, in pixels"
        value={size.value}
        range={TIDY_SIZES}
        testid="tidy-size"
        text={`${size.value} px`}
        onInput={(value) => (size.value = Math.round(value))}
      />
      <Button
        label="Fill holes and drop islands"
        tip=""
        class="sw-primary"
        testid="tidy-apply"
        onPress={() => {
          actions.edit.tidy(size.peek());
          close();
        }}
      >
        Fill holes, drop islands
      </Button>
    </div>
  );
}

export function SelectionBar(): JSX.Element | null {
  const { store, view } = useWidget();
  const selected = store.annotations.value.find((a) => a.id === view.selected.value);
  return selected && !store.host.standalone ? <Bar selected={selected} /> : null;
}

function Bar({ selected }: { selected: AnnotationTrait }): JSX.Element {
  const { store, actions, focusStage } = useWidget();
  const tidying = useSignal(false);
  const bar = useRef<HTMLDivElement>(null);
  const onKey = useRoving(bar);
  const draft = store.shown.value !== null && store.prompts.value.length > 0;
  const place = store.annotations.value.indexOf(selected);
  const top = place === store.annotations.value.length - 1;
  const keysOf = useKeys();
  const act = (action: () => void) => () => {
    action();
    focusStage();
  };
  return (
    <div class="sw-selection">
      {tidying.value && <Tidy onClose={() => (tidying.value = false)} />}
      {draft && (
        <div class="sw-bar-float" role="group" aria-label="The draft and the selected mask" data-testid="combine">
          {COMBINATIONS.map(([how, name, tip, Glyph]) => (
            <Button
              key={how}
              label={tip}
              keys={keysOf(how)}
              class="sw-combine"
              testid={`combine-${how}`}
              disabled={!store.settled.value}
              onPress={act(() => actions.edit.combine(how))}
            >
              <Glyph />
              {name}
            </Button>
          ))}
        </div>
      )}
      <div
        ref={bar}
        class="sw-bar-float"
        role="toolbar"
        aria-label="Selected mask"
        data-testid="selection-bar"
        onKeyDown={onKey}
      >
        <Swatch color={safeColor(store.colorOf(selected.label))} />
        <Relabel annotation={selected} />
        <span class="sw-divider" />
        <Button
          label="Fill holes, drop islands"
          testid="tidy"
          pressed={tidying.value}
          onPress={() => (tidying.value = !tidying.value)}
        >
          <TidyIcon />
        </Button>
        <Button
          label="Start from this mask"
          tip="Start a draft from this mask and refine it by clicks"
          keys={keysOf("startFrom")}
          testid="start-from"
          onPress={act(actions.edit.startFrom)}
        >
          <StartIcon />
        </Button>
        <span class="sw-divider" />
        {PLACES.map(([to, name, Glyph]) => (
          <Button
            key={to}
            label={name}
            keys={keysOf(to)}
            class={to === "front" || to === "back" ? "sw-far" : ""}
            testid={`order-${to}`}
            disabled={to === "front" || to === "forward" ? top : place === 0}
            onPress={act(() => actions.edit.reorder(to))}
          >
            <Glyph />
          </Button>
        ))}
        <span class="sw-divider" />
        <Button
          label="Delete this mask"
          keys={keysOf("remove")}
          class="sw-delete"
          testid="delete-selected"
          onPress={act(actions.edit.removeSelected)}
        >
          <TrashIcon />
        </Button>
        <Button
          label="Deselect"
          keys="Esc"
          testid="deselect"
          onPress={act(() => actions.edit.select(null))}
        >
          <CloseIcon />
        </Button>
      </div>
    </div>
  );
}

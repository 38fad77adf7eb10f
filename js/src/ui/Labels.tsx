// The labels as chips: the current one is what Enter keeps under.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { safeColor } from "../canvas/color";
import { Button, Kbd, Swatch } from "./controls";
import { useWidget } from "./context";
import { PlusIcon } from "./icons";

function NewLabel({ onClose }: { onClose: () => void }): JSX.Element {
  const { actions, focusStage } = useWidget();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus({ preventScroll: true }), []);
  const finish = (add: boolean): void => {
    if (add) actions.addLabel(field.current?.value ?? "");
    onClose();
    focusStage();
  };
  return (
    <input
      ref={field}
      class="sw-input"
      type="text"
      maxLength={80}
      placeholder="New label"
      aria-label="Name of the new label"
      data-testid="label-input"
      data-lm-suppress-shortcuts="true"
      onKeyDown={(event) => {
        if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
        event.preventDefault();
        event.stopPropagation();
        finish(event.key === "Enter");
      }}
      onBlur={() => onClose()}
    />
  );
}

export function Labels(): JSX.Element {
  const { store, actions, focusStage } = useWidget();
  const adding = useSignal(false);
  const current = store.currentLabel.value.name;
  // While candidates are on screen the bare digits pick one of them, and Shift is needed here.
  const shift = store.shown.value !== null;
  const digits = new Set(store.labels.value.map((label) => label.hotkey));
  return (
    <section class="sw-section sw-labels" data-shift={shift} aria-label="Labels">
      <header class="sw-heading">
        <h3>Label</h3>
      </header>
      <div class="sw-chips">
        <div class="sw-chips" role="radiogroup" aria-label="Current label">
          {store.labels.value.map((label, index) => {
            const own = label.hotkey?.toUpperCase();
            const digit = index < 9 && !digits.has(`${index + 1}`) ? `${index + 1}` : undefined;
            const cap = own ?? digit;
            const shifted = shift && cap !== undefined && /^[0-9]$/.test(cap);
            return (
            <button
              key={label.name}
              type="button"
              role="radio"
              class="sw-chip"
              aria-checked={label.name === current}
              data-testid="label-chip"
              data-lm-suppress-shortcuts="true"
              data-tip={`Keep as ${label.name}`}
              data-keys={shifted ? `Shift ${cap}` : cap}
              onClick={() => {
                actions.chooseLabel(label.name);
                focusStage();
              }}
            >
              <Swatch color={safeColor(label.color)} />
              <span class="sw-ellipsis">{label.name}</span>
              {cap && <Kbd>{cap}</Kbd>}
            </button>
            );
          })}
        </div>
        {adding.value ? (
          <NewLabel onClose={() => (adding.value = false)} />
        ) : (
          <Button
            label="Add a label"
            class="sw-add"
            testid="add-label"
            onPress={() => (adding.value = true)}
          >
            <PlusIcon />
          </Button>
        )}
      </div>
    </section>
  );
}

// How kept masks look, and whether they are protected: a small panel under the toolbar.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { AppearanceTrait } from "../host/traits";
import { Button } from "./controls";
import { useWidget } from "./context";
import { CloseIcon, LookIcon } from "./icons";

export function LookButton(): JSX.Element {
  const { view } = useWidget();
  const open = view.tools.lookOpen.value;
  return (
    <button
      type="button"
      class="sw-button"
      aria-label="Look of kept masks"
      aria-expanded={open}
      data-testid="look"
      data-tip="Look of kept masks"
      data-lm-suppress-shortcuts="true"
      onClick={() => (view.tools.lookOpen.value = !open)}
    >
      <LookIcon />
    </button>
  );
}

interface ChoiceProps<V extends string> {
  name: string;
  value: V;
  options: readonly [V, string][];
  onChoose(value: V): void;
}

function Choice<V extends string>({ name, value, options, onChoose }: ChoiceProps<V>): JSX.Element {
  return (
    <div class="sw-field">
      <span aria-hidden="true">{name}</span>
      <div
        class="sw-segments"
        role="radiogroup"
        aria-label={name}
        onKeyDown={(event) => {
          const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          event.stopPropagation();
          const at = options.findIndex(([option]) => option === value);
          const next = (at + step + options.length) % options.length;
          onChoose(options[next]![0]);
          const buttons = event.currentTarget.querySelectorAll<HTMLElement>("button");
          buttons[next]?.focus({ preventScroll: true });
        }}
      >
        {options.map(([option, text]) => (
          <button
            key={option}
            type="button"
            role="radio"
            class="sw-button sw-segment"
            aria-checked={option === value}
            tabIndex={option === value ? 0 : -1}
            data-testid={`look-${option}`}
            data-lm-suppress-shortcuts="true"
            onClick={() => onChoose(option)}
          >
            {text}
          </button>
        ))}
      </div>
    </div>
  );
}

export function LookPanel(): JSX.Element | null {
  const { store, view } = useWidget();
  return view.tools.lookOpen.value && !store.host.standalone ? <Panel /> : null;
}

function Panel(): JSX.Element {
  const { store, view, actions, root, focusStage } = useWidget();
  const panel = useRef<HTMLDivElement>(null);
  const { opacity, show, color_by } = store.appearance.value;
  const percent = Math.round(opacity * 100);
  const set = (change: Partial<AppearanceTrait>): void => actions.edit.setAppearance(change);
  const close = (): void => {
    view.tools.lookOpen.value = false;
    focusStage();
  };
  useLayoutEffect(() => {
    panel.current?.querySelector<HTMLElement>("input")?.focus({ preventScroll: true });
    const control = new AbortController();
    // A click elsewhere closes it, and does what it does.
    root.addEventListener(
      "pointerdown",
      (event) => {
        const target = event.target;
        if (!(target instanceof Element) || panel.current?.contains(target)) return;
        if (!target.closest("[data-testid=look]")) view.tools.lookOpen.value = false;
      },
      { capture: true, signal: control.signal },
    );
    return () => control.abort();
  }, []);
  return (
    <div
      ref={panel}
      class="sw-sheet sw-look"
      role="dialog"
      aria-label="Look of kept masks"
      data-testid="look-panel"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        close();
      }}
    >
      <header class="sw-heading">
        <h3>Look of kept masks</h3>
        <span class="sw-spring" />
        <Button label="Close" keys="Esc" class="sw-small" onPress={close}>
          <CloseIcon />
        </Button>
      </header>
      <label class="sw-slider">
        <span>Opacity</span>
        <input
          type="range"
          min={0}
          max={100}
          step={5}
          value={percent}
          disabled={show === "outline"}
          aria-label="Opacity of kept masks"
          aria-valuetext={`${percent} percent`}
          data-testid="look-opacity"
          data-lm-suppress-shortcuts="true"
          onInput={(event) => set({ opacity: Number(event.currentTarget.value) / 100 })}
        />
        <output class="sw-number">{percent}%</output>
      </label>
      <Choice
        name="Show"
        value={show}
        options={[["both", "Both"], ["fill", "Fill"], ["outline", "Outline"]]}
        onChoose={(value) => set({ show: value })}
      />
      <Choice
        name="Color by"
        value={color_by}
        options={[["label", "Label"], ["object", "Object"]]}
        onChoose={(value) => set({ color_by: value })}
      />
      <button
        type="button"
        role="switch"
        class="sw-button sw-switch"
        aria-checked={store.protect.value}
        data-testid="protect"
        data-tip="What is kept or painted leaves kept masks' pixels alone"
        data-lm-suppress-shortcuts="true"
        onClick={() => actions.edit.setProtect(!store.protect.peek())}
      >
        <span>Protect kept masks from overlap</span>
        <i aria-hidden="true" />
      </button>
    </div>
  );
}

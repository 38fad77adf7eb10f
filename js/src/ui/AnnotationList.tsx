// The kept annotations, newest first. Only the rows in sight exist, so a thousand stay fluid.
import type { JSX } from "preact";
import { useSignal, useSignalEffect } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { colorOfId, safeColor } from "../canvas/color";
import type { AnnotationTrait } from "../host/traits";
import { Button, Swatch } from "./controls";
import { useWidget } from "./context";
import { formatArea, formatScore } from "./format";
import { EyeIcon, EyeOffIcon, TrashIcon } from "./icons";
import { Relabel } from "./Relabel";

/** CSS pixels; the style sheet's --sw-row says the same, and more where fingers point. */
const ROW = matchMedia("(pointer: coarse)").matches ? 44 : 34;
const SPARE_ROWS = 6;

function Row(props: { annotation: AnnotationTrait; place: number; count: number }): JSX.Element {
  const { annotation, place, count } = props;
  const { store, view, actions, focusStage } = useWidget();
  const { id, visible } = annotation;
  const hovered = view.hoveredAnnotation.value === id;
  const selected = view.selected.value === id;
  const color = store.appearance.value.color_by === "object" ? colorOfId(id) : store.colorOf(annotation.label);
  return (
    <div
      class="sw-row"
      role="listitem"
      aria-posinset={place + 1}
      aria-setsize={count}
      data-testid="annotation-row"
      data-id={id}
      data-hovered={hovered ? "true" : undefined}
      data-selected={selected ? "true" : undefined}
      data-hidden={visible ? undefined : "true"}
      style={{ top: `${place * ROW}px` }}
      onClick={(event) => {
        if (event.target instanceof Element && !event.target.closest("button, select")) {
          actions.edit.select(selected ? null : id);
        }
      }}
      onPointerEnter={() => (view.hoveredAnnotation.value = id)}
      onPointerLeave={() => {
        if (view.hoveredAnnotation.peek() === id) view.hoveredAnnotation.value = null;
      }}
    >
      <Button
        label={`Select ${annotation.label}`}
        tip={selected ? "Deselect" : "Select"}
        class="sw-small sw-choose"
        testid="select-row"
        pressed={selected}
        onPress={() => actions.edit.select(selected ? null : id)}
      >
        <Swatch color={safeColor(color)} />
      </Button>
      <Relabel annotation={annotation} />
      <span class="sw-number sw-strong" title="Predicted IoU">
        {formatScore(annotation.predicted_iou)}
      </span>
      <span class="sw-number sw-area" title="Area">
        {formatArea(annotation.area)}
      </span>
      <Button
        label={visible ? "Hide" : "Show"}
        class="sw-small sw-eye"
        testid="toggle-visible"
        pressed={!visible}
        onPress={() => actions.show([id], !visible)}
      >
        {visible ? <EyeIcon /> : <EyeOffIcon />}
      </Button>
      <Button
        label="Delete"
        class="sw-small sw-delete"
        testid="delete"
        onPress={() => {
          actions.removeAnnotations([id]);
          focusStage();
        }}
      >
        <TrashIcon />
      </Button>
    </div>
  );
}

export function AnnotationList(): JSX.Element {
  const { store, view, actions } = useWidget();
  const scroller = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(400);
  /** Brings the selected row into sight, wherever it was selected. */
  const reveal = (): void => {
    const box = scroller.current;
    const index = store.annotations.peek().findIndex((a) => a.id === view.selected.peek());
    if (!box || index < 0) return;
    const upper = (store.annotations.peek().length - 1 - index) * ROW;
    if (upper < box.scrollTop) box.scrollTop = upper;
    else box.scrollTop = Math.max(box.scrollTop, upper + ROW - box.clientHeight);
    // A low panel is scrolled as a whole; but candidates that somebody looks at stay in sight.
    const panel = box.closest(".sw-panel");
    if (!panel || panel.scrollHeight <= panel.clientHeight || store.prompts.peek().length > 0) return;
    const from = box.getBoundingClientRect().top + upper - box.scrollTop;
    const { top, bottom } = panel.getBoundingClientRect();
    panel.scrollTop += Math.min(0, from - top) + Math.max(0, from + ROW - bottom);
  };
  useSignalEffect(() => {
    if (view.selected.value !== null) reveal();
  });
  useLayoutEffect(() => {
    const box = scroller.current!;
    let seen = false;
    const observer = new ResizeObserver(() => {
      height.value = box.clientHeight || 400;
      // What was selected before the list had a place is nowhere to be scrolled to until now.
      if (!seen && box.clientHeight > 0) reveal();
      seen = box.clientHeight > 0;
    });
    observer.observe(box);
    return () => observer.disconnect();
  }, []);

  const annotations = store.annotations.value;
  const count = annotations.length;
  const anyVisible = annotations.some((a) => a.visible);
  const first = Math.max(0, Math.floor(top.value / ROW) - SPARE_ROWS);
  const last = Math.min(count, Math.ceil((top.value + height.value) / ROW) + SPARE_ROWS);
  const rows: JSX.Element[] = [];
  for (let place = first; place < last; place++) {
    const annotation = annotations[count - 1 - place]!;
    rows.push(<Row key={annotation.id} annotation={annotation} place={place} count={count} />);
  }
  return (
    <section class="sw-section sw-kept" aria-label="Kept annotations">
      <header class="sw-heading">
        <h3>Kept</h3>
        <span class="sw-count" data-testid="annotation-count">{count}</span>
        <span class="sw-spring" />
        {count > 0 && (
          <Button
            label={anyVisible ? "Hide all" : "Show all"}
            class="sw-small"
            testid="toggle-all"
            onPress={() => {
              const now = store.annotations.peek();
              const hide = now.some((a) => a.visible);
              actions.show(now.filter((a) => a.visible === hide).map((a) => a.id), !hide);
            }}
          >
            {anyVisible ? <EyeIcon /> : <EyeOffIcon />}
          </Button>
        )}
      </header>
      <div
        ref={scroller}
        class="sw-scroller"
        onScroll={(event) => (top.value = event.currentTarget.scrollTop)}
      >
        {count === 0 ? (
          <p class="sw-none">What you keep is listed here.</p>
        ) : (
          <div class="sw-rows" role="list" style={{ height: `${count * ROW}px` }}>
            {rows}
          </div>
        )}
      </div>
    </section>
  );
}

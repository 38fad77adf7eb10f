// The menu of models above the status line. Nothing is fetched before a person has said so.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { ModelTrait } from "../host/traits";
import {
  details, isBegun, isRunning, percentOf, question, stage, titleOf, whereabouts,
} from "../state/models";
import { useWidget } from "./context";
import { CheckIcon } from "./icons";

interface ItemProps {
  /** Names the item, so that the focus finds it again. */
  id: string;
  text: string;
  class: string;
  disabled?: boolean;
  onPress: () => void;
}

function Item(props: ItemProps): JSX.Element {
  return (
    <button
      type="button"
      role="menuitem"
      class={`sw-button ${props.class}`}
      tabIndex={-1}
      aria-disabled={props.disabled ? "true" : undefined}
      data-testid={props.id}
      data-item={props.id}
      data-lm-suppress-shortcuts="true"
      onClick={() => !props.disabled && props.onPress()}
    >
      {props.text}
    </button>
  );
}

/** May it be fetched? Two buttons, and the terms. */
function Ask({ model, onClose }: { model: ModelTrait; onClose: () => void }): JSX.Element {
  const { store, actions } = useWidget();
  const download = store.download.value;
  const other = isRunning(download) ? store.models.value.find((m) => m.name === download.name) : undefined;
  const text = other
    ? `${titleOf(other)} is being downloaded. Wait for it, or cancel that.`
    : question(model, download);
  return (
    <div class="sw-model-ask" role="group" aria-label={text} data-testid="model-question">
      <p aria-hidden="true">{text}</p>
      <Item
        id="download-model"
        text={isBegun(model, download) ? "Go on" : "Download"}
        class="sw-primary"
        disabled={other !== undefined}
        onPress={() => {
          actions.downloadModel(model.name);
          onClose();
        }}
      />
      <Item id="not-now" text="Not now" class="sw-quiet" onPress={onClose} />
    </div>
  );
}

function Fetching({ model }: { model: ModelTrait }): JSX.Element {
  const { store, actions } = useWidget();
  const download = store.download.value;
  const percent = percentOf(download);
  // The status line has the bar that screen readers hear: a menu may hold nothing but items.
  return (
    <div class="sw-model-ask" role="group" aria-label={`Download of ${titleOf(model)}`} data-testid="model-download">
      <div class="sw-model-progress" aria-hidden="true">
        <span class="sw-model-stage">
          <span>{stage(download)}</span>
          <b data-testid="download-percent">{percent}%</b>
        </span>
        <span class="sw-bar"><i style={{ width: `${percent}%` }} /></span>
      </div>
      <Item id="cancel-download" text="Cancel" class="sw-quiet" onPress={actions.cancelDownload} />
    </div>
  );
}

interface EntryProps {
  model: ModelTrait;
  asked: boolean;
  onChoose: () => void;
  onClose: () => void;
}

function Entry({ model, asked, onChoose, onClose }: EntryProps): JSX.Element {
  const { store } = useWidget();
  const present = store.model.value === model.name;
  const fetching = isRunning(store.download.value, model.name);
  const off = !model.usable && !fetching;
  const place = fetching ? "downloading" : whereabouts(model);
  const title = titleOf(model);
  return (
    <div class="sw-model" role="none" data-open={asked || fetching ? "true" : undefined}>
      <button
        type="button"
        role="menuitemradio"
        class="sw-model-entry"
        tabIndex={-1}
        aria-checked={present}
        aria-disabled={off ? "true" : undefined}
        aria-label={`${title}, ${place}. ${details(model)}. ${off ? model.reason : model.summary}`}
        data-testid="model-entry"
        data-name={model.name}
        data-item={`entry ${model.name}`}
        data-lm-suppress-shortcuts="true"
        onClick={() => !off && onChoose()}
      >
        <span class="sw-model-tick">{present && <CheckIcon />}</span>
        <span class="sw-model-head">
          <b>{title}</b>
          <span class="sw-model-place" data-testid="model-place">{place}</span>
        </span>
        <small>{model.summary}</small>
        {off && <small class="sw-model-reason">{model.reason}</small>}
        <small class="sw-model-detail">{details(model)}</small>
      </button>
      {fetching ? <Fetching model={model} /> : asked && <Ask model={model} onClose={onClose} />}
    </div>
  );
}

function Menu(): JSX.Element {
  const { root, store, view, actions, focusStage } = useWidget();
  const box = useRef<HTMLDivElement>(null);
  const asked = useSignal("");
  /** The item that has the focus, or is to have it as soon as it is there. */
  const item = useRef(`entry ${store.model.peek()}`);
  const opener = useRef<Element | null>(null);

  const items = (): HTMLElement[] => [...box.current!.querySelectorAll<HTMLElement>("[data-item]")];
  const active = (): Element | null => (root.getRootNode() as Document | ShadowRoot).activeElement;
  const goTo = (id: string): void => {
    const all = items();
    const target = all.find((one) => one.dataset["item"] === id) ?? all[0] ?? box.current!;
    target.focus({ preventScroll: true });
    target.scrollIntoView?.({ block: "nearest" });
  };
  const close = (): void => void (view.modelsOpen.value = false);
  const goBack = (): void => {
    close();
    const back = opener.current;
    if (back instanceof HTMLElement && root.contains(back)) back.focus({ preventScroll: true });
    else focusStage();
  };

  useLayoutEffect(() => {
    opener.current = active();
    const control = new AbortController();
    document.addEventListener(
      "pointerdown",
      (event) => {
        const path = event.composedPath();
        const button = root.querySelector("[data-testid=model-button]");
        if (!path.includes(box.current!) && !(button && path.includes(button))) close();
      },
      { capture: true, signal: control.signal },
    );
    return () => control.abort();
  }, []);
  // What has the focus may vanish: a button that was pressed, a download that has ended.
  useLayoutEffect(() => {
    if (!box.current!.contains(active())) goTo(item.current);
  });

  const choose = (model: ModelTrait): void => {
    if (isRunning(store.download.peek(), model.name)) return goTo("cancel-download");
    if (!model.cached && model.name !== store.model.peek()) {
      asked.value = asked.peek() === model.name ? "" : model.name;
      item.current = asked.peek() ? "download-model" : `entry ${model.name}`;
      requestAnimationFrame(() => box.current && goTo(item.current));
      return;
    }
    actions.useModel(model.name);
    close();
    focusStage();
  };

  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // no key of the stage acts below an open menu
    const all = items();
    const at = all.indexOf(active() as HTMLElement);
    const go = (index: number): void => goTo(all[(index + all.length) % all.length]?.dataset["item"] ?? "");
    switch (event.key) {
      case "ArrowDown": go(at + 1); break;
      case "ArrowUp": go(at < 0 ? -1 : at - 1); break;
      case "Home": go(0); break;
      case "End": go(-1); break;
      case "Escape":
        if (asked.peek()) {
          item.current = `entry ${asked.peek()}`;
          asked.value = "";
          goTo(item.current);
        } else goBack();
        break;
      case "m":
      case "M": goBack(); break;
      case "Tab": goBack(); return; // and on from there
      default: return;
    }
    event.preventDefault();
  };

  const models = store.models.value;
  return (
    <div
      ref={box}
      class="sw-models"
      role="menu"
      aria-label="Models"
      tabIndex={-1}
      data-testid="model-menu"
      data-lm-suppress-shortcuts="true"
      onKeyDown={onKey}
      onFocusIn={(event) => {
        const id = (event.target as HTMLElement).dataset["item"];
        if (id) item.current = id;
      }}
      onFocusOut={(event) => {
        const to = event.relatedTarget;
        if (to instanceof Element && !box.current?.contains(to)) close();
      }}
    >
      {models.map((model) => (
        <Entry
          key={model.name}
          model={model}
          asked={asked.value === model.name && !model.cached}
          onChoose={() => choose(model)}
          onClose={() => {
            item.current = `entry ${model.name}`;
            asked.value = "";
          }}
        />
      ))}
      {models.length === 0 && <p class="sw-none">Run the cell to see which models there are.</p>}
    </div>
  );
}

export function ModelMenu(): JSX.Element | null {
  const { view } = useWidget();
  return view.modelsOpen.value ? <Menu /> : null;
}

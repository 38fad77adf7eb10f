// The sheet behind `?`: every key and gesture, as they are now.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { remapped, ROWS, withHotkeys } from "../canvas/keys";
import { sheetOf } from "../canvas/key_sheet";
import { Button, onMac } from "./controls";
import { useWidget } from "./context";
import { CloseIcon } from "./icons";

const KERNEL_ONLY = ["Kept masks"];

const capOf = (key: string): string =>
  onMac ? key.replace("Ctrl", "⌘").replace("Alt", "⌥") : key;

export function KeySheet(): JSX.Element | null {
  const { view } = useWidget();
  return view.keysOpen.value ? <Sheet /> : null;
}

function Sheet(): JSX.Element {
  const { store, view, focusStage } = useWidget();
  const body = useRef<HTMLDivElement>(null);
  // Whoever opened it by key can scroll it by key.
  useLayoutEffect(() => body.current?.focus({ preventScroll: true }), []);
  const sheets = sheetOf(withHotkeys(remapped(store.keymap.value), store.labels.value), ROWS).filter(
    ({ group }) => !store.host.standalone || !KERNEL_ONLY.includes(group),
  );
  return (
    <div class="sw-sheet sw-keys" role="dialog" aria-label="Keys and gestures" data-testid="key-sheet">
      <header class="sw-heading">
        <h3>Keys and gestures</h3>
        <span class="sw-spring" />
        <Button
          label="Close"
          keys="Esc"
          class="sw-small"
          testid="close-keys"
          onPress={() => {
            view.keysOpen.value = false;
            focusStage();
          }}
        >
          <CloseIcon />
        </Button>
      </header>
      <div
        ref={body}
        class="sw-keys-body"
        tabIndex={0}
        role="group"
        aria-label="List of keys"
        data-lm-suppress-shortcuts="true"
      >
        {sheets.map(({ group, lines }) => (
          <section key={group} aria-label={group}>
            <h4>{group}</h4>
            <dl>
              {lines.map(({ does, ways }) => (
                <div key={does}>
                  <dt>{does}</dt>
                  <dd>
                    {ways.map((way) => (
                      <span key={way.join()} class="sw-way">
                        {way.map((key) => (
                          <kbd key={key} class="sw-kbd">{capOf(key)}</kbd>
                        ))}
                      </span>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </div>
  );
}

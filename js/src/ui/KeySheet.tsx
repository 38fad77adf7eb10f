// The sheet of keys behind `?`.
import type { JSX } from "preact";
import { KEY_TABLE } from "../canvas/keyboard";
import { Button, Kbd, onMac } from "./controls";
import { useWidget } from "./context";
import { CloseIcon } from "./icons";

export function KeySheet(): JSX.Element | null {
  const { view, focusStage } = useWidget();
  if (!view.keysOpen.value) return null;
  return (
    <div class="sw-sheet" role="dialog" aria-label="Keys" data-testid="key-sheet">
      <header class="sw-heading">
        <h3>Keys</h3>
        <span class="sw-spring" />
        <Button
          label="Close"
          class="sw-small"
          onPress={() => {
            view.keysOpen.value = false;
            focusStage();
          }}
        >
          <CloseIcon />
        </Button>
      </header>
      <dl>
        {KEY_TABLE.map(({ keys, does }) => (
          <div key={does}>
            <dt>{does}</dt>
            <dd>
              {keys.map((key) => (
                <Kbd key={key}>{onMac ? key.replace("Ctrl", "⌘").replace("Alt", "⌥") : key}</Kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

// Buttons. One that cannot act now stays focusable, so that keys never fall through to the notebook.
import type { ComponentChildren, JSX } from "preact";

export const onMac = /Mac|iP(hone|ad)/.test(navigator.platform);

interface ButtonProps {
  label: string;
  onPress: () => void;
  children: ComponentChildren;
  /** What the tooltip says after the label, in key caps; several ways are separated by a bar. */
  keys?: string | undefined;
  /** Another tooltip than the label; empty where the button says it all. */
  tip?: string;
  testid?: string;
  class?: string;
  pressed?: boolean;
  disabled?: boolean;
}

export function Button(props: ButtonProps): JSX.Element {
  const { label, onPress, children, keys, tip, testid, pressed, disabled } = props;
  return (
    <button
      type="button"
      class={`sw-button ${props.class ?? ""}`}
      aria-label={label}
      aria-pressed={pressed}
      aria-disabled={disabled ? "true" : undefined}
      data-testid={testid}
      data-tip={tip ?? label}
      data-keys={keys}
      data-lm-suppress-shortcuts="true"
      onClick={() => {
        if (!disabled) onPress();
      }}
    >
      {children}
    </button>
  );
}

export function Kbd({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <kbd class="sw-kbd" aria-hidden="true">
      {children}
    </kbd>
  );
}

export function Swatch({ color }: { color: string }): JSX.Element {
  return <span class="sw-swatch" style={{ background: color }} aria-hidden="true" />;
}

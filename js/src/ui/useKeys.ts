// The keys of a verb as they are now, for tooltips.
import { capsOf } from "../canvas/key_sheet";
import { remapped, withHotkeys } from "../canvas/keys";
import { onMac } from "./controls";
import { useWidget } from "./context";

/** `keys("redo")` is "Ctrl Shift Z | Ctrl Y"; undefined where the verb has no key any more. */
export function useKeys(): (name: string) => string | undefined {
  const { store } = useWidget();
  const rows = withHotkeys(remapped(store.keymap.value), store.labels.value);
  return (name) => {
    const keys = rows.find((row) => row.name === name)?.keys ?? [];
    const ways = keys.map((chord) => capsOf(chord).join(" ")).join(" | ");
    return (onMac ? ways.replace(/Ctrl/g, "⌘").replace(/Shift/g, "⇧").replace(/Alt/g, "⌥") : ways) || undefined;
  };
}
